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
	a := auditor{Relay: r, said: make(map[string]string)}
	for sleep(ctx, r.cfg.auditPause()) {
		if _, held := r.Guardian(); held {
			a.run(ctx)
		}
	}
}

// auditor is what one audit leaves to the next.
type auditor struct {
	*Relay
	rows []verify.Rows     // once they are known
	said map[string]string // what was logged of rows that cannot be compared, by their prefix; empty for all of them
}

// run makes one audit.
func (a *auditor) run(ctx context.Context) {
	a.declare(ctx)
	report, err := verify.Run(ctx, verify.Config{DB: a.cfg.DB, Cache: a.cfg.Cache, Rows: a.rows, Rate: a.cfg.auditRate(), Log: a.log})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.log.Debug("audit_failed", zap.Error(err))
		return
	}
	for prefix, why := range report.Unread {
		a.say(prefix, why)
	}
	a.audits.Add(1)
	a.auditedKeys.Add(report.Keys)
	a.auditedValues.Add(report.Values)
	for i, kind := range verify.Kinds {
		a.differing[i].Add(report.ByKind[kind])
	}
	a.audited.Store(&report)
}

// declare asks for the rows until it is told.
func (a *auditor) declare(ctx context.Context) {
	if a.cfg.AuditRows == nil || a.rows != nil {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rows, err := a.cfg.AuditRows(bounded)
	if err == nil {
		a.rows = rows
	} else if ctx.Err() == nil {
		a.say("", err.Error())
	}
}

// say logs once why rows are not compared.
func (a *auditor) say(prefix, why string) {
	if a.said[prefix] != why {
		a.said[prefix] = why
		a.log.Warn("rows_not_audited", zap.String("prefix", prefix), zap.String("why", why))
	}
}

// Audit returns what the last whole audit has found, nil if there was none: see Config.AuditRate.
func (r *Relay) Audit() *verify.Report { return r.audited.Load() }
