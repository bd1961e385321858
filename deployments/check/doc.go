// Package check holds what is in deployments against what it is for, as far as a machine without Docker and Kubernetes can: the chart is rendered and
// every manifest held against the schemas of Kubernetes, the compose file is loaded, the alerts are made to fire, and systemd reads its units. It is a
// module of its own, so that Helm and Prometheus stay out of the product.
package check
