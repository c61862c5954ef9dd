package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"evident/api"
	"evident/internal/openapi"
)

// admit refuses what must not even be looked at: a Host header that is not this server's (a page of
// another site whose name was pointed here, DNS rebinding), and changes that a page of another origin
// asks for.
func (s *Server) admit(r *http.Request) error {
	if !s.knowsHost(r.Host) {
		return api.NewProblem("host-not-allowed", "this server is not called "+strings.ToValidUTF8(r.Host, "?"))
	}
	if err := s.origins.Check(r); err != nil {
		return api.NewProblem("cross-origin", "a page of another origin asks").Because(err)
	}
	return nil
}

// knowsHost says whether a Host header may name this server: any address, localhost, and the names it
// was told. Rebinding needs a name, so addresses are safe.
func (s *Server) knowsHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" {
		return true
	}
	return slices.ContainsFunc(s.o.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// cookieName is the cookie that holds the key of a person's browser.
const cookieName = "evident_key"

// authorize returns the caller's role, or the problem that its key is.
func (s *Server) authorize(r *http.Request, need openapi.Access) (caller, error) {
	if s.o.Keys == nil {
		return caller{admin: true}, nil
	}
	if need == openapi.Open {
		return caller{}, nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if cookie, err := r.Cookie(cookieName); err == nil {
			token = cookie.Value
		}
	}
	if token == "" {
		return caller{}, api.NewProblem("key-needed", "this server asks for a key")
	}
	key, ok := s.o.Keys.Find(token)
	switch {
	case !ok:
		return caller{}, api.NewProblem("key-needed", "the key is not known here")
	case need == openapi.Admin && !key.Admin:
		return caller{}, api.NewProblem("forbidden", "the key may read, and this is for admin keys")
	}
	return caller{name: key.Name, admin: key.Admin}, nil
}

// caller is who asks.
type caller struct {
	name  string // of the key
	admin bool
}

// foreign guards a handler that is not of the table: the MCP endpoint.
func (s *Server) foreign(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.authorize(r, openapi.Read); err != nil {
			s.problem(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.o.BodyMax)
		ctx, stop := context.WithCancel(r.Context())
		defer stop()
		defer context.AfterFunc(s.closing, stop)() // a stream ends when the server does
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// secure sets the headers of every answer.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob:; base-uri 'none'; "+
		"form-action 'self'; frame-ancestors 'none'; object-src 'none'")
}
