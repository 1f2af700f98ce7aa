//go:build linux && !noembedded

package sentry

import _ "embed" // for compiledFilters

//go:embed filters_amd64.json
var compiledFilters []byte
