// Package api holds what travels between evident's HTTP server and its clients: requests, answers,
// evidence, problems. Package evident answers in the same types, so that a program may move from
// the library to the client and back.
//
// It imports nothing of evident: a client carries no models. Fields are only added. The tag doc says
// what a field means, min, max and enum what it may be; internal/openapi makes the schemas of
// /openapi.json, the checks of requests and the schemas of MCP tools from them.
package api

// Version is the version of the paths below /api/.
const Version = "v1"
