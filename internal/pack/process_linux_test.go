package pack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A test starts its own program with these set: it then loads the model in the folder, and prints what
// became of the cache.
const (
	childModel = "EVIDENT_TEST_PACK_MODEL"
	childCache = "EVIDENT_TEST_PACK_CACHE"
	childLimit = "EVIDENT_TEST_PACK_LIMIT" // the largest file it may write: a full disk
)

func TestChildProcess(t *testing.T) {
	dir := os.Getenv(childModel)
	if dir == "" {
		t.Skip("runs only inside of other tests")
	}
	if text := os.Getenv(childLimit); text != "" {
		var limit syscall.Rlimit
		if _, err := fmt.Sscan(text, &limit.Cur); err != nil {
			t.Fatal(err)
		}
		limit.Max = limit.Cur
		signal.Ignore(syscall.SIGXFSZ) // writes then fail
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := load(t, os.DirFS(dir), Options{Dir: os.Getenv(childCache), Precision: "fp32", Now: later})
	fmt.Printf("child: %s\n", r.State)
}

func child(dir, cache, limit string) *exec.Cmd {
	c := exec.Command(os.Args[0], "-test.run=^TestChildProcess$")
	c.Env = append(os.Environ(), childModel+"="+dir, childCache+"="+cache, childLimit+"="+limit)
	return c
}

// TestConcurrentProcesses: processes start together without a file; each gets the right bytes, and a
// sound file is left.
func TestConcurrentProcesses(t *testing.T) {
	dir, cache := writeModel(t, 1), t.TempDir()
	const processes = 8
	var all [processes]*exec.Cmd
	var outputs [processes]bytes.Buffer
	for i := range all {
		all[i] = child(dir, cache, "")
		all[i].Stdout, all[i].Stderr = &outputs[i], &outputs[i]
		if err := all[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range all {
		err := c.Wait()
		out := outputs[i].String()
		made, used := "child: "+string(Made), "child: "+string(Used)
		if err != nil || !strings.Contains(out, made) && !strings.Contains(out, used) {
			t.Errorf("process %d: %v\n%s", i, err, out)
		}
	}
	expect(t, "then", os.DirFS(dir), Options{Dir: cache, Precision: "fp32", Now: later}, Used)
	if names := list(t, dir); len(names) != 2 {
		t.Errorf("left behind: %v", names)
	}
}

// TestFullDisk: a file that cannot be written whole is not kept, and nothing else goes wrong.
func TestFullDisk(t *testing.T) {
	for _, limit := range []string{"0", "100", "5000", "20000"} {
		dir, cache := writeModel(t, 1), t.TempDir()
		out, err := child(dir, cache, limit).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "child: "+string(Failed)) {
			t.Errorf("limit %s: %v\n%s", limit, err, out)
		}
		if names := append(list(t, dir), list(t, cache)...); len(names) != 1 {
			t.Errorf("limit %s: left behind: %v", limit, names)
		}
	}
}

func isMapped(t *testing.T, path string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(maps), path)
}

// TestMemoryLivesAsLongAsTheCache: the mapping is there while the Cache can be reached, and given back
// when it cannot.
func TestMemoryLivesAsLongAsTheCache(t *testing.T) {
	dir, o := writeModel(t, 1), Options{Dir: t.TempDir(), Precision: "fp32", Now: later}
	path := expect(t, "first", os.DirFS(dir), o, Made).Path
	c := Open(os.DirFS(dir), []string{"model.safetensors"}, o)
	data, err := c.Section(keyOf(13001), func() ([]byte, error) { return nil, os.ErrNotExist })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // as a newer version would; the mapping stays
		t.Fatal(err)
	}
	for range 5 {
		runtime.GC()
		if !isMapped(t, path) || !bytes.Equal(data, contentOf(1, 13001)) {
			t.Fatal("the memory is gone while the cache is in use")
		}
	}
	runtime.KeepAlive(c)
	data, c = nil, nil
	for deadline := time.Now().Add(20 * time.Second); isMapped(t, path); runtime.Gosched() {
		runtime.GC() // cleanups run on a goroutine of their own, some time after
		if time.Now().After(deadline) {
			t.Fatal("the memory is not given back")
		}
	}
	_ = data
}
