package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
)

// Listen says where and how a Server is reached.
type Listen struct {
	// Address is host:port. Required. A host other than this machine's own needs clients in the entities file.
	Address string
	// Certificate and Key are the files of the server's TLS certificate, in PEM form. Default: no TLS.
	Certificate, Key string
	// ClientCA is the file of the authorities whose client certificates are accepted. Default: none are.
	ClientCA string
	// Listening, if set, is told the address once it is open.
	Listening func(net.Addr)
}

// headerMax bounds the headers of a request, in bytes.
const headerMax = 32 << 10

// Run serves until ctx ends, and then lets the requests under way finish.
func (s *Server) Run(ctx context.Context, l Listen) error {
	config, err := s.tls(l)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", l.Address)
	if err != nil {
		return fmt.Errorf("serve: listening: %w", err)
	}
	if !loopback(listener.Addr()) && s.clients.anyone != nil {
		_ = listener.Close()
		return fmt.Errorf("serve: %s can be reached from other machines, and the entities file declares no clients: anybody could write. Declare some, or listen on 127.0.0.1", l.Address)
	}
	if !loopback(listener.Addr()) && config == nil {
		s.log.Warn("tokens_in_the_clear", zap.String("mind", "without a certificate everybody on the way can read tokens and rows; end TLS here, or right before"))
	}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	if l.Listening != nil {
		l.Listening(listener.Addr())
	}
	server := &http.Server{
		Handler: s, MaxHeaderBytes: headerMax, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: s.cfg.timeout() + time.Second,
		WriteTimeout: 2*s.cfg.timeout() + time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: zap.NewStdLog(s.log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.cfg.timeout())
	defer cancel()
	err = server.Shutdown(finishing)
	<-ended
	return err
}

func loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// tls returns the settings of TLS, nil for none.
func (s *Server) tls(l Listen) (*tls.Config, error) {
	certified := false
	for _, c := range s.clients.declared {
		certified = certified || c.Certificate != ""
	}
	switch {
	case (l.Certificate == "") != (l.Key == ""):
		return nil, errors.New("serve: a certificate needs its key, and a key its certificate")
	case l.ClientCA != "" && l.Certificate == "":
		return nil, errors.New("serve: client certificates need TLS: give a certificate and its key")
	case certified && l.ClientCA == "":
		return nil, errors.New("serve: the entities file declares clients with certificates: give the authority that has issued them")
	case l.Certificate == "":
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(l.Certificate, l.Key)
	if err != nil {
		return nil, fmt.Errorf("serve: reading the certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if l.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(l.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("serve: reading the clients' authority: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("serve: %s holds no certificate in PEM form", l.ClientCA)
	}
	return config, nil
}
