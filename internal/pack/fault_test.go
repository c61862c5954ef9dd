package pack

import (
	"os"
	"path/filepath"
	"testing"

	"evident/internal/faultdisk"
)

// TestEveryOperationFails lets each operation of writing a cache fail, alone and with all after it, and lets
// the power go after it: the model is right each time, and what is found later is used or made again, never
// wrong (expect compares every byte).
func TestEveryOperationFails(t *testing.T) {
	counting := faultdisk.New(t)
	dir := writeModel(t, 1)
	expect(t, "counting", os.DirFS(dir), Options{Dir: t.TempDir(), Precision: "bf16", Now: later, disk: counting}, Made)
	failed, used := 0, 0
	for at := 1; at <= counting.Done; at++ {
		for _, how := range []func(*faultdisk.Disk){
			func(d *faultdisk.Disk) {},
			func(d *faultdisk.Disk) { d.Forever = true },
			func(d *faultdisk.Disk) { d.Cut = true },
		} {
			disk, model := faultdisk.New(t), writeModel(t, 1)
			o := Options{Dir: t.TempDir(), Precision: "bf16", Now: later, disk: disk}
			disk.At = at
			how(disk)
			if r, _ := load(t, os.DirFS(model), o); r.State == Failed {
				failed++
			} else if r.State != Made {
				t.Fatalf("operation %d: %v", at, r)
			}
			for kind := range faultdisk.Kinds {
				left := disk.Left(model, kind) // beside the model, which was not written by this disk
				files, _ := filepath.Glob(filepath.Join(left, "*"+extension))
				for _, file := range files {
					data, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					write(t, filepath.Join(model, filepath.Base(file)), data)
				}
				r, _ := load(t, os.DirFS(model), Options{Dir: t.TempDir(), Precision: "bf16", Now: later})
				if r.State == Used {
					used++
				}
				expect(t, "again", os.DirFS(model), Options{Dir: o.Dir, Precision: "bf16", Now: later}, Used)
			}
		}
	}
	if failed == 0 || used == 0 {
		t.Errorf("%d failures, %d files that outlasted one: this tested nothing", failed, used)
	}
}
