// Command gen writes the assembly of package kernel: the matrix kernels of every tier and row
// count, and the vector functions. Run it with `go generate` in internal/kernel.
//
// One skeleton serves every tier of an architecture, so that a fix is made once; the instructions
// that the Go assembler does not know are encoded here (evex.go and vex.go for amd64, a64.go for arm64) and
// tested against stored bytes.
package main

import (
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	for name, text := range files() {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// files returns every generated file by name.
func files() map[string]string {
	gemm, vector, amx, search := newAssembly(), newAssembly(), newAssembly(), newAssembly()
	gemm.matrixKernels()
	gemm.peaks()
	vector.vectorFunctions()
	gemmNEON, vectorNEON := newNeon(), newNeon()
	gemmNEON.matrixKernels()
	gemmNEON.peaks()
	vectorNEON.vectorFunctions()
	amx.amxFunctions()
	search.searchFunctions()
	return map[string]string{
		"zz_gemm_arm64.s":    gemmNEON.source(),
		"zz_vector_arm64.s":  vectorNEON.source(),
		"zz_gemm_arm64.go":   gemmNEON.declarations(gemmNEON.tables()),
		"zz_vector_arm64.go": vectorNEON.declarations(""),
		"zz_gemm_amd64.s":    gemm.source(),
		"zz_vector_amd64.s":  vector.source(),
		"zz_amx_amd64.s":     amx.source(),
		"zz_gemm_amd64.go":   gemm.declarations(gemm.tables()),
		"zz_vector_amd64.go": vector.declarations(""),
		"zz_amx_amd64.go":    amx.declarations(""),
		"zz_search_amd64.s":  search.source(),
		"zz_search_amd64.go": search.declarations(""),
	}
}
