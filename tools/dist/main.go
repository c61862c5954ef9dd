// Command dist builds evident for every platform it is offered on, packs each build with its licence,
// notice, readme and the list of modules that are inside, and writes beside each archive a bill of materials
// (CycloneDX, by cyclonedx-gomod, which is fetched) and SHA256SUMS. The same sources and Go version give
// the same bytes.
//
//	go run ./tools/dist -out dist
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// platforms are those that evident is offered on.
var platforms = []struct{ os, arch string }{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"},
}

// made is the time of every file in an archive, so that archives do not differ by when they were made.
var made = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	out := flag.String("out", "dist", "folder for the archives")
	version := flag.String("version", "devel", "part of the archives' names")
	tags := flag.String("tags", "", "build tags; nomodels leaves the weights out")
	bill := flag.Bool("sbom", true, "write bills of materials; the tool for it comes from the module proxy")
	only := flag.String("only", "", "build one platform, such as linux/amd64")
	flag.Parse()
	if err := run(*out, *version, *tags, *only, *bill); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(out, version, tags, only string, bill bool) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var sums strings.Builder
	for _, p := range platforms {
		if only != "" && only != p.os+"/"+p.arch {
			continue
		}
		name := fmt.Sprintf("evident_%s_%s_%s", version, p.os, p.arch)
		binary := filepath.Join(out, name, "evident")
		if p.os == "windows" {
			binary += ".exe"
		}
		if err := build(binary, p.os, p.arch, tags); err != nil {
			return err
		}
		archive, err := pack(out, name, binary, p.os == "windows")
		if err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		files := []string{archive}
		if bill {
			file := filepath.Join(out, name+".cdx.json")
			if err := writeBill(file, binary, version); err != nil {
				return err
			}
			files = append(files, file)
		}
		for _, file := range files {
			sum, size, err := digest(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%x  %s\n", sum, filepath.Base(file))
			fmt.Printf("%-46s %8.2f MiB\n", filepath.Base(file), float64(size)/(1<<20))
		}
		if info, err := os.Stat(binary); err == nil {
			fmt.Printf("  the program in it is %.1f MiB\n", float64(info.Size())/(1<<20))
		}
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func build(binary, goos, goarch, tags string) error {
	arguments := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", binary}
	if tags != "" {
		arguments = append(arguments, "-tags", tags)
	}
	cmd := exec.Command("go", append(arguments, "./cmd/evident")...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build for %s/%s: %w\n%s", goos, goarch, err, text)
	}
	return nil
}

// billTool writes bills of materials.
const billTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// writeBill lists what is in a program, as CycloneDX.
func writeBill(file, binary, version string) error {
	cmd := exec.Command("go", "run", billTool, "bin", "-json", "-noserial", "-version", version, "-output", file, binary)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(made.Unix(), 10))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("list what is in %s (-sbom=false leaves it out): %w\n%s", binary, err, text)
	}
	return nil
}

// member is a file of an archive.
type member struct {
	name string
	mode int64
	data []byte
}

// pack writes an archive of a build: a zip for Windows, a tar for others.
func pack(out, name, binary string, windows bool) (string, error) {
	modules, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		return "", fmt.Errorf("list modules: %w", err)
	}
	_, listed, _ := bytes.Cut(modules, []byte("\n")) // the first line is our path
	members := []member{{"MODULES", 0o644, listed}}
	for _, file := range []string{binary, "LICENSE", "NOTICE", "README.md"} {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		m := member{filepath.Base(file), 0o644, data}
		if file == binary {
			m.mode = 0o755
		}
		members = append(members, m)
	}
	archive, write := filepath.Join(out, name+".tar.gz"), writeTar
	if windows {
		archive, write = filepath.Join(out, name+".zip"), writeZip
	}
	file, err := os.Create(archive)
	if err != nil {
		return "", err
	}
	if err := write(file, name, members); err != nil {
		file.Close()
		return "", err
	}
	return archive, file.Close()
}

func writeTar(w io.Writer, folder string, members []member) error {
	packed := gzip.NewWriter(w)
	archive := tar.NewWriter(packed)
	for _, m := range members {
		header := &tar.Header{Name: folder + "/" + m.name, Mode: m.mode, Size: int64(len(m.data)), ModTime: made}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(m.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func writeZip(w io.Writer, folder string, members []member) error {
	archive := zip.NewWriter(w)
	for _, m := range members {
		entry, err := archive.CreateHeader(&zip.FileHeader{Name: folder + "/" + m.name, Method: zip.Deflate, Modified: made})
		if err != nil {
			return err
		}
		if _, err := entry.Write(m.data); err != nil {
			return err
		}
	}
	return archive.Close()
}

func digest(path string) (sum []byte, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	h := sha256.New()
	size, err = io.Copy(h, file)
	return h.Sum(nil), size, err
}
