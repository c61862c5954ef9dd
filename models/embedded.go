//go:build !nomodels

package models

import "embed"

//go:embed *
var files embed.FS
