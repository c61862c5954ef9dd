package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"evident"
	"evident/api"
	"evident/internal/mcp"
	"evident/internal/server"
	"evident/internal/service"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	source
	listen       string
	name         string
	allow, hosts []string
	keys         string
	insecure     bool
	cert, key    string
	bodyMiB      int64
	pixels       int
	computations int
	queue        int
	timeout      time.Duration
	patience     time.Duration
	logLevel     string
	keep         string
	sets         []string
	pull         bool
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer over HTTP: a page for people, an API for programs",
		Long: `Answer over HTTP: pages to ask, read, look and search, and the API they are made of (/docs).

On this machine's own address no key is asked for. On any other, keys are: make one with "evident key
create". Folders can be indexed through the server only below those that --allow names, or that were
indexed before. What is made through it, indexes, snapshots and evaluations, lies in the folder --keep. With --in the server answers at once and reads what is new meanwhile. Ctrl-C finishes
what runs.`,
		Example: `  evident serve --in ~/papers
  evident serve --listen 0.0.0.0:8317 --keys keys --tls-cert cert.pem --tls-key key.pem`,
		Annotations: exitCodes("0 stopped · 2 error · 12 model missing · 13 file damaged"),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.runServe(cmd.Context(), o) },
	}
	o.addFlags(cmd, true)
	addVisionFlag(cmd, &o.vision)
	addPhraseFlag(cmd, &o.phrase)
	f := cmd.Flags()
	f.StringVarP(&o.listen, "listen", "l", "127.0.0.1:8317", "address and port; port 0 takes a free one")
	f.StringVar(&o.name, "name", "default", "name of the index in paths of the API")
	f.StringArrayVar(&o.allow, "allow", nil, "folder that may be indexed through the server; may be repeated")
	f.StringArrayVar(&o.hosts, "host", nil, "name that the server is reached by; may be repeated")
	f.StringVar(&o.keys, "keys", "", "file of keys to ask for (see evident help key)")
	f.BoolVar(&o.insecure, "insecure", false, "ask for no keys on an address that others reach")
	f.StringVar(&o.cert, "tls-cert", "", "file of the certificate, to answer over TLS")
	f.StringVar(&o.key, "tls-key", "", "file of the certificate's private key")
	f.Int64Var(&o.bodyMiB, "max-body", 32, "largest body of a request, in MiB")
	f.IntVar(&o.pixels, "max-pixels", evident.PixelsMax, "larger pictures are refused, undecoded")
	f.IntVar(&o.computations, "computations", 0, "at the same time; 0 is one a core")
	f.IntVar(&o.queue, "queue", 0, fmt.Sprintf("computations that may wait, more are turned away; 0 is %d for each that runs, at least %d",
		service.WaitingEach, service.WaitingLeast))
	f.DurationVar(&o.timeout, "request-timeout", time.Minute, "a request may take")
	f.DurationVar(&o.patience, "shutdown-timeout", 30*time.Second, "requests that run are finished for at most")
	f.StringVar(&o.keep, "keep", "",
		"folder for indexes, snapshots and evaluations made through the server (default: \"server\" in the data folder)")
	f.StringArrayVar(&o.sets, "evaluate", nil,
		"questions in SQuAD's format, or photos with a manifest, to be measured on through the server; may be repeated")
	f.BoolVar(&o.pull, "allow-pull", false, "let models be fetched through the server")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; only debug names questions")
	return cmd
}

// check finds wrong values before anything is opened.
func (o *serveOptions) check() error {
	switch {
	case o.bodyMiB < 1:
		return usageError("--max-body %d: at least 1", o.bodyMiB)
	case o.pixels < 1:
		return usageError("--max-pixels %d: at least 1", o.pixels)
	case o.computations < 0:
		return usageError("--computations %d is negative", o.computations)
	case o.queue < 0:
		return usageError("--queue %d is negative", o.queue)
	case o.timeout <= 0 || o.patience <= 0:
		return usageError("--request-timeout and --shutdown-timeout must be above 0")
	case (o.cert == "") != (o.key == ""):
		return usageError("--tls-cert and --tls-key belong together")
	case o.name == "":
		return usageError("--name is empty")
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return &hintError{usageError("--listen %s: not an address and a port", o.listen), "for example --listen 127.0.0.1:8317"}
	}
	return nil
}

func (a *app) runServe(ctx context.Context, o serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	log, err := a.logger(o.logLevel)
	if err != nil {
		return err
	}
	keys, err := a.serverKeys(&o)
	if err != nil {
		return err
	}
	index, err := a.openOrCreate(ctx, &o.source)
	if err != nil {
		return err
	}
	defer index.Close()
	listener, err := listen(&o)
	if err != nil {
		return err
	}
	defer listener.Close()
	metrics := server.NewMetrics()
	s, err := a.service(ctx, &o, index, metrics)
	if err != nil {
		return err
	}
	defer s.Close()
	web, err := server.New(server.Options{
		Service: s, Version: version(), Keys: keys, Hosts: o.hosts, Data: a.data, Secure: o.cert != "",
		Log: log, Metrics: metrics, MCP: mcp.Handler(mcp.New(s, version())), BodyMax: o.bodyMiB << 20, RequestTimeout: o.timeout,
	})
	if err != nil {
		return err
	}
	for _, left := range s.LeftOut() {
		log.Warn("left out: it cannot be read", "path", filepath.Join(a.keepFolder(&o), left.Path), "error", left.Reason)
	}
	if o.in != "" {
		if _, err := s.StartJob(api.JobRequest{Kind: "index", Paths: []string{o.in}}); err != nil {
			return err
		}
	}
	go a.load(ctx, s, log)
	go refresh(ctx, s, log)
	if err := a.announce(&o, listener); err != nil {
		return err
	}
	return web.Serve(ctx, listener, o.patience)
}

// service answers from an index and from those that were made through the server before.
func (a *app) service(
	ctx context.Context, o *serveOptions, index *evident.Index, metrics *server.Metrics,
) (*service.Service, error) {
	h, err := a.hub()
	if err != nil {
		return nil, err
	}
	s, err := service.New(service.Options{
		Indexes: []service.Index{{Name: o.name, Index: index}}, Folders: append(o.allow, o.allowed()...),
		CacheDir: a.cacheFolder("pdf"), Version: version(), PixelsMax: o.pixels, BodyMax: o.bodyMiB << 20,
		Computations: o.computations, QueueMax: o.queue, RequestTimeout: o.timeout, Observe: metrics,
		Keep: a.keepFolder(o), Sets: o.sets,
		Hub: h, Pull: o.pull, Used: []string{o.model, o.vision, o.phrase},
	})
	if err != nil {
		return nil, err
	}
	if err := s.OpenKept(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// keepFolder is where the server keeps what is made through it.
func (a *app) keepFolder(o *serveOptions) string {
	return cmp.Or(o.keep, filepath.Join(a.home("data"), "server"))
}

// allowed is what --in adds to --allow: what was indexed at the start may be indexed again.
func (o *serveOptions) allowed() []string {
	if o.in == "" {
		return nil
	}
	return []string{o.in}
}

// openOrCreate opens the index to serve. One that holds nothing yet is made: the page says how to go on.
func (a *app) openOrCreate(ctx context.Context, s *source) (*evident.Index, error) {
	dir, err := a.indexOf(s)
	if err != nil {
		return nil, err
	}
	opts, err := a.options(s)
	if err != nil {
		return nil, err
	}
	opts.Create = true
	for _, name := range []*string{&opts.Vision.Name, &opts.Phrases.Name} {
		if filepath.IsAbs(*name) { // callers see what the model is called, not where it lies
			*name = filepath.Base(*name)
		}
	}
	return evident.Open(ctx, dir, opts)
}

// load loads the models. A server without one still searches, shows and says what is missing.
func (a *app) load(ctx context.Context, s *service.Service, log *slog.Logger) {
	begun := time.Now()
	if err := s.Load(ctx); err != nil {
		log.Error("models cannot be loaded", "error", err.Error())
		return
	}
	log.Info("ready", "seconds", time.Since(begun).Seconds())
}

// refreshInterval is how often the server looks for what other processes have indexed.
const refreshInterval = 2 * time.Second

func refresh(ctx context.Context, s *service.Service, log *slog.Logger) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.Refresh(ctx); err != nil {
				log.Warn("index cannot be read anew", "error", err.Error())
			}
		case <-ctx.Done():
			return
		}
	}
}

// listen opens the port: the one that systemd hands over, where it does.
func listen(o *serveOptions) (net.Listener, error) {
	l, err := server.Inherited()
	if l == nil && err == nil {
		l, err = net.Listen("tcp", o.listen)
	}
	if err != nil {
		return nil, &hintError{
			fmt.Errorf("listen on %s: %w", o.listen, err), "another program may use the port; choose one with --listen",
		}
	}
	if o.cert == "" {
		return l, nil
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read certificate %s: %w", o.cert, err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), nil
}

// announce says where the server is.
func (a *app) announce(o *serveOptions, l net.Listener) error {
	scheme := "http"
	if o.cert != "" {
		scheme = "https"
	}
	address := scheme + "://" + l.Addr().String()
	if a.out.json {
		if err := a.out.printJSONLine(map[string]any{"address": address}); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(a.out.Out, address)
	}
	return server.Notify("READY=1")
}

// logger writes text to a terminal and JSON elsewhere, to stderr.
func (a *app) logger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError("--log-level %s: debug, info, warn or error", level)
	}
	if a.quiet {
		l = max(l, slog.LevelWarn)
	}
	o := &slog.HandlerOptions{Level: l}
	if isTerminal(a.streams.Err) {
		return slog.New(slog.NewTextHandler(a.streams.Err, o)), nil
	}
	return slog.New(slog.NewJSONHandler(a.streams.Err, o)), nil
}

// serverKeys returns the keys to ask for. On an address that only this machine reaches none are, unless
// they are named; on others there must be some.
func (a *app) serverKeys(o *serveOptions) (*server.Keys, error) {
	if o.keys != "" {
		return server.ReadKeys(o.keys)
	}
	host, _, _ := net.SplitHostPort(o.listen)
	if host == "localhost" || net.ParseIP(host).IsLoopback() || o.insecure {
		return nil, nil
	}
	keys, err := server.ReadKeys(a.keysFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hintError{
			usageError("others reach %s, and there are no keys to ask for", o.listen),
			`run "evident key create NAME" first, or listen on 127.0.0.1`,
		}
	}
	return keys, err
}

// keysFile is where keys are looked for: what systemd hands over, else the data folder.
func (a *app) keysFile() string {
	if dir := a.streams.Environment("CREDENTIALS_DIRECTORY"); dir != "" {
		if file := filepath.Join(dir, "keys"); exists(file) {
			return file
		}
	}
	return filepath.Join(a.home("data"), "keys")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// version is the program's, as it was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
