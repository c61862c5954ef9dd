//go:build cluster

package weaviate_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// node is a Weaviate server on this machine.
type node struct {
	number int
	dir    string
	http   int
	env    []string
	binary string

	process *exec.Cmd
	exited  chan struct{}
}

// flushSeconds is the setting that cures the missing fresh documents of v1.35.2; docs/cluster.md.
const flushSeconds = "PERSISTENCE_MEMTABLES_FLUSH_DIRTY_AFTER_SECONDS="

// startNodes starts a cluster of n nodes on loopback addresses and waits until all are ready.
func startNodes(t *testing.T, n int, settings ...string) []*node {
	t.Helper()
	binary := os.Getenv("EVIDENT_WEAVIATE")
	if binary == "" {
		t.Skip(`NOT TESTED: EVIDENT_WEAVIATE names no server; run "make cluster"`)
	}
	ports := freePairs(t, 4*n) // in one call, or a later one might return what an earlier one has
	gossip, raft, rest, grpc := ports[:n], ports[n:2*n], ports[2*n:3*n], ports[3*n:]
	var join, members []string
	for i := range n {
		join = append(join, fmt.Sprintf("localhost:%d", gossip[i]))
		members = append(members, fmt.Sprintf("weaviate-%d:%d", i, raft[i]))
	}
	root := t.TempDir()
	if keep := os.Getenv("EVIDENT_CLUSTER_DIR"); keep != "" {
		var err error
		if root, err = os.MkdirTemp(keep, t.Name()); err != nil {
			t.Fatal(err)
		}
	}
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = &node{number: i, dir: filepath.Join(root, strconv.Itoa(i)), http: rest[i], binary: binary}
		if err := os.MkdirAll(nodes[i].dir, 0o700); err != nil {
			t.Fatal(err)
		}
		nodes[i].env = append(append(os.Environ(),
			"AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=true", "DEFAULT_VECTORIZER_MODULE=none", "DISABLE_TELEMETRY=true",
			"PERSISTENCE_DATA_PATH="+nodes[i].dir, fmt.Sprintf("CLUSTER_HOSTNAME=weaviate-%d", i),
			"CLUSTER_IN_LOCALHOST=true", "CLUSTER_ADVERTISE_ADDR=127.0.0.1", "CLUSTER_BIND_ADDR=127.0.0.1",
			fmt.Sprintf("CLUSTER_GOSSIP_BIND_PORT=%d", gossip[i]), fmt.Sprintf("CLUSTER_DATA_BIND_PORT=%d", gossip[i]+1),
			"CLUSTER_JOIN="+strings.Join(join, ","), fmt.Sprintf("RAFT_PORT=%d", raft[i]),
			fmt.Sprintf("RAFT_INTERNAL_RPC_PORT=%d", raft[i]+1), "RAFT_JOIN="+strings.Join(members, ","),
			fmt.Sprintf("RAFT_BOOTSTRAP_EXPECT=%d", n), fmt.Sprintf("GRPC_PORT=%d", grpc[i]),
			"GOMEMLIMIT=2000MiB", "LOG_LEVEL=warning",
		), settings...)
		nodes[i].start(t)
	}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.kill()
		}
	})
	for _, n := range nodes {
		n.waitReady(t)
	}
	return nodes
}

// freePairs returns n ports that are free, and so are those after each.
func freePairs(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	var held []net.Listener
	for len(ports) < n {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, first)
		port := first.Addr().(*net.TCPAddr).Port
		if second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1)); err == nil {
			held = append(held, second)
			ports = append(ports, port)
		}
	}
	for _, l := range held {
		l.Close()
	}
	return ports
}

func (n *node) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(n.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.process = exec.Command(n.binary, "--host", "127.0.0.1", "--port", strconv.Itoa(n.http), "--scheme", "http")
	n.process.Env, n.process.Stdout, n.process.Stderr = n.env, log, log
	n.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	exited, process := make(chan struct{}), n.process
	n.exited = exited
	go func() { process.Wait(); close(exited) }()
}

// kill ends a node as a power cut would: it writes nothing more.
func (n *node) kill() {
	n.process.Process.Kill()
	<-n.exited
}

func (n *node) host() string { return fmt.Sprintf("127.0.0.1:%d", n.http) }

// waitReady waits until the node answers, or has ended.
func (n *node) waitReady(t *testing.T) {
	t.Helper()
	for range 600 {
		select {
		case <-n.exited:
			log, _ := os.ReadFile(n.dir + ".log")
			t.Fatalf("node %d ended: %s", n.number, log[max(0, len(log)-2000):])
		case <-time.After(200 * time.Millisecond):
		}
		answer, err := http.Get("http://" + n.host() + "/v1/.well-known/ready")
		if err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("node %d is not ready after two minutes", n.number)
}

// waitHealthy waits until one node sees so many healthy ones.
func waitHealthy(t *testing.T, through *node, want int) {
	t.Helper()
	for range 300 {
		answer, err := http.Get("http://" + through.host() + "/v1/nodes")
		if err == nil {
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if strings.Count(string(body), `"status":"HEALTHY"`) == want {
				return
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("node %d never saw %d healthy nodes", through.number, want)
}

// memory is what a node has resident, in MB, and what it has on disk.
func (n *node) memory(t *testing.T) (residentMB, diskMB float64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			residentMB = kB / 1e3
		}
	}
	filepath.Walk(n.dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			diskMB += float64(info.Size()) / 1e6
		}
		return nil
	})
	return residentMB, diskMB
}

// address is that of a collection on nodes.
func address(collection string, nodes ...*node) string {
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, n.host())
	}
	return "weaviate://" + strings.Join(hosts, ",") + "/" + collection
}

// later returns a context that ends before the test's own limit would.
func later(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	t.Cleanup(stop)
	return ctx
}
