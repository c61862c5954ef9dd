//go:build !unix

package cli

// onStatusSignal does nothing: there is no such signal here.
func onStatusSignal(func()) (stop func()) { return func() {} }
