// Pins the CRDs of the Gateway API. Only YAML files of the module are used and nothing is compiled:
// `go mod tidy` would find no package here that needs it.
module modelyard.dev/localcluster/gateway

go 1.26.0

require (
	sigs.k8s.io/gateway-api v1.6.3
)
