//go:build !amd64 && !arm64

package kernel

import "runtime"

var sets = [...]Set{Generic: genericSet}

// Features names the abilities of this CPU that matter here: none is used yet.
func Features() []string { return nil }

func missingFeatures(t Tier) []string {
	if t == Generic {
		return nil
	}
	return []string{"assembly for " + runtime.GOARCH}
}
