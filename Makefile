# make check is what to run before a commit; it needs Go, and uses staticcheck and golangci-lint
# when they are installed.

.PHONY: check test race build model-sums

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

# model-sums lists the digests of the embedded models, after one of them changed.
model-sums:
	cd models && sha256sum */config.json */model.safetensors >SHA256SUMS
