// The OpenAPI schemas of Kubernetes, which kubectl-validate carries. Nothing of it is built: the check reads its files.
module github.com/tidelock-cache/tidelock/deployments/check/schemas

go 1.26.0

require sigs.k8s.io/kubectl-validate v0.0.4
