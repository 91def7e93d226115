module mxm-secrets-tests/age-plugin-batchpass

go 1.25.0

tool filippo.io/age/cmd/age-plugin-batchpass

require filippo.io/age v1.3.2

require (
	filippo.io/hpke v0.4.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/term v0.45.0 // indirect
)
