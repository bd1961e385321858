package relay

import (
	"context"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/verify"
)

// audit compares the cache with Postgres over and over, slowly, while this relay is the guardian.
func (r *Relay) audit(ctx context.Context) {
	if r.cfg.AuditRate < 0 {
		return
	}
	for sleep(ctx, r.cfg.auditPause()) {
		if _, held := r.Guardian(); !held {
			continue
		}
		report, err := verify.Run(ctx, verify.Config{DB: r.cfg.DB, Cache: r.cfg.Cache, Rate: r.cfg.auditRate(), Log: r.log})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.log.Debug("audit_failed", zap.Error(err))
			continue
		}
		r.audits.Add(1)
		r.auditedKeys.Add(report.Keys)
		r.differing.Add(report.Differing)
		r.audited.Store(&report)
	}
}

// Audit returns what the last whole audit has found, nil if there was none: see Config.AuditRate.
func (r *Relay) Audit() *verify.Report { return r.audited.Load() }
