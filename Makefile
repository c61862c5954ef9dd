# make check is what to run before a commit; it needs Go, and uses staticcheck and golangci-lint
# when they are installed.

.PHONY: check test race build dist package-files packages contract model-sums cluster weaviate

check: test
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not gofmt clean:" $$unformatted; exit 1; fi
	go vet ./...
	@if command -v staticcheck >/dev/null; then echo staticcheck ./...; staticcheck ./...; \
	  else echo "staticcheck is not installed: skipped"; fi
	@if command -v golangci-lint >/dev/null; then echo golangci-lint run; golangci-lint run; \
	  else echo "golangci-lint is not installed: skipped"; fi

test:
	go test ./...

race:
	go test -race ./...

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o evident ./cmd/evident

# dist builds static programs for Linux, macOS and Windows, on amd64 and arm64, and packs them.
dist:
	go run ./tools/dist -out dist -version "$${VERSION:-devel}"

# package-files makes what packaging/nfpm.yaml puts into a package, for both processors.
package-files: build
	mkdir -p dist/package/completions
	./evident man dist/package/man
	./evident completion bash >dist/package/completions/evident.bash
	./evident completion zsh >dist/package/completions/_evident
	./evident completion fish >dist/package/completions/evident.fish
	for arch in amd64 arm64; do CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags '-s -w' \
	  -o dist/package/evident-linux-$$arch ./cmd/evident || exit 1; done

# packages makes deb and rpm for both processors; nfpm comes from the module proxy.
packages: package-files
	for arch in amd64 arm64; do for kind in deb rpm; do ARCH=$$arch VERSION="$${VERSION:-0.0.0}" \
	  go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.1 package --config packaging/nfpm.yaml --packager $$kind --target dist/ || exit 1; \
	  done; done

# contract lets schemathesis attack the HTTP API; it needs Python 3 and its package registry.
contract:
	tools/contract/run.sh

# model-sums lists the digests of the embedded models, after one of them changed.
model-sums:
	cd models && sha256sum */config.json */model.safetensors >SHA256SUMS

# weaviate builds the server that tests of --store run against: eight minutes and 2 GB of memory the first time.
weaviate:
	cd tools/cluster && go build -o bin/weaviate-server github.com/weaviate/weaviate/cmd/weaviate-server

# cluster starts three nodes on this machine, loads them, kills some, and compares with an index in a folder:
# half an hour on two idle cores. EVIDENT_CLUSTER_PASSAGES=5000 makes it smaller.
cluster: weaviate
	EVIDENT_WEAVIATE=$(CURDIR)/tools/cluster/bin/weaviate-server \
	  go test -tags cluster -count=1 -v -timeout 90m -run 'TestCluster|TestFreshDocuments|TestCommand' ./store/weaviate
