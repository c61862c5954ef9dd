//go:build !amd64

package kernel

import "runtime"

var sets = [...]Set{Generic: genericSet}

func missingFeatures(t Tier) []string {
	if t == Generic {
		return nil
	}
	return []string{"assembly for " + runtime.GOARCH}
}
