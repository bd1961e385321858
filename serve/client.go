package serve

import (
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/time/rate"

	"github.com/tidelock-cache/tidelock/serve/entity"
)

// clients knows who may use the server, and how much.
type clients struct {
	declared []*entity.Client
	anyone   *entity.Client // who everybody is if nobody is declared

	mu       sync.Mutex
	limiters map[string]*rate.Limiter // by the client's name
	cfg      Config
}

func newClients(cfg Config) *clients {
	c := &clients{declared: cfg.File.Clients(), limiters: make(map[string]*rate.Limiter), cfg: cfg}
	if len(c.declared) == 0 {
		c.anyone = entity.Everyone()
	}
	return c
}

// admit says who sent a request, or why it is not worked on.
func (c *clients) admit(r *http.Request, public bool) (*entity.Client, error) {
	client, err := c.identify(r)
	if err != nil && public {
		client, err = &entity.Client{Name: "public"}, nil
	}
	limited := client
	if err != nil {
		limited = &entity.Client{Name: "?unknown"} // those who guess share one limit
	}
	if !c.limiter(limited).Allow() {
		return nil, tooMany.because("the client's rate is exceeded").with("Retry-After", "1")
	}
	return client, err
}

// identify goes by the token, or else by the certificate that the handshake has verified.
func (c *clients) identify(r *http.Request) (*entity.Client, error) {
	if c.anyone != nil {
		if !loopbackHost(r.Host) {
			return nil, forbidden.because("a server without clients answers to the names of this machine alone")
		}
		return c.anyone, nil
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		if client := entity.ByToken(c.declared, strings.TrimSpace(token)); client != nil {
			return client, nil
		}
		return nil, unauthorized.because("the token is nobody's").with("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		if client := c.byCertificate(r.TLS.VerifiedChains[0][0]); client != nil {
			return client, nil
		}
		return nil, unauthorized.because("the certificate is no declared client's").with("WWW-Authenticate", "Bearer")
	}
	return nil, unauthorized.because("the request has neither a token nor a client certificate").with("WWW-Authenticate", "Bearer")
}

func (c *clients) byCertificate(cert *x509.Certificate) *entity.Client {
	held := append(append([]string{cert.Subject.CommonName}, cert.DNSNames...), cert.EmailAddresses...)
	for _, uri := range cert.URIs {
		held = append(held, uri.String())
	}
	for _, client := range c.declared {
		for _, name := range held {
			if client.Certificate != "" && client.Certificate == name {
				return client
			}
		}
	}
	return nil
}

func (c *clients) limiter(client *entity.Client) *rate.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.limiters[client.Name]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(orDefault(client.Rate, c.cfg.rate())), orDefault(client.Burst, c.cfg.burst()))
		c.limiters[client.Name] = l
	}
	return l
}

// loopbackHost keeps a page in a browser on this machine from being led here by a name of its own.
func loopbackHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}
