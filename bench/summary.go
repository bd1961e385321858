package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// target is a figure that the project wants to reach.
type target struct {
	title string
	cell  string // the comparison's name and cell
	want  string
}

// targets are the comparisons of the summary, in its order.
var targets = []target{
	{"`Put`, against UPDATE and SET by hand, 1 client", "put.c1.130B.uniform", "≥ 0.9 ×"},
	{"… 16 clients", "put.c16.130B.uniform", "≥ 1.2 ×, p99 ≤ 1 ×"},
	{"… 64 clients", "put.c64.130B.uniform", "≥ 2.0 ×, p99 ≤ 1 ×"},
	{"… 256 clients", "put.c256.130B.uniform", "≥ 3.0 ×, p99 ≤ 1 ×"},
	{"… 64 clients, 1 KiB", "put.c64.1KiB.uniform", ""},
	{"… 64 clients, 16 KiB", "put.c64.16KiB.uniform", ""},
	{"… 64 clients, some keys popular", "put.c64.130B.zipf", ""},
	{"`Put`, against UPDATE and DEL by hand, 64 clients", "put_vs_delete.c64.130B.uniform", ""},
	{"`Put`, against pgbench's UPDATE alone, 1 client", "put_vs_pgbench.c1.130B.uniform", ""},
	{"… 64 clients", "put_vs_pgbench.c64.130B.uniform", ""},
	{"`Put`, against UPDATE and rockscache's TagAsDeleted, 64 clients", "put_vs_rockscache.c64.130B.uniform", ""},
	{"`Put`, against UPDATE and go-redis/cache's Set, 64 clients", "put_vs_go_redis_cache.c64.130B.uniform", ""},
	{"`Write`, against BEGIN, UPDATE, COMMIT and SET by hand, 1 client", "write.c1.130B.uniform", "≥ 0.9 ×"},
	{"… 16 clients", "write.c16.130B.uniform", "≥ 1.0 ×"},
	{"… 64 clients", "write.c64.130B.uniform", "≥ 1.0 ×"},
	{"`Get`, against a bare GET, 1 client", "get.c1.130B.uniform", "≥ 0.95 ×, p50 ≤ 1.05 ×"},
	{"… 64 clients", "get.c64.130B.uniform", "≥ 0.95 ×, p50 ≤ 1.05 ×"},
	{"… 256 clients", "get.c256.130B.uniform", "≥ 0.95 ×, p50 ≤ 1.05 ×"},
	{"`Get`, against valkey-benchmark's GET, 1 client", "get_vs_valkey_benchmark.c1.130B.uniform", ""},
	{"… 64 clients", "get_vs_valkey_benchmark.c64.130B.uniform", ""},
	{"`Get`, against rockscache's Fetch, 64 clients", "get_vs_rockscache.c64.130B.uniform", ""},
	{"… strong mode", "get_vs_rockscache_strong.c64.130B.uniform", ""},
	{"`Get`, against go-redis/cache's Once, 64 clients", "get_vs_go_redis_cache.c64.130B.uniform", ""},
	{"`GetMany` of 100, against MGET, 1 client", "get_many.c1.130B.uniform", "≥ 0.9 ×"},
	{"… 64 clients", "get_many.c64.130B.uniform", "≥ 0.9 ×"},
	{"`Within`, against a default `Get`, 64 clients", "within.c64.130B.uniform", "≥ 0.95 ×, p50 ≤ 1.05 ×"},
	{"`Strict`, against a default `Get`, 64 clients", "strict.c64.130B.uniform", "≥ 0.95 ×, p50 ≤ 1.05 ×"},
	{"strict `Put`, against a default `Put`, 64 clients", "strict_put.c64.130B.uniform", "≥ 0.95 ×"},
	{"strict `Write`, against a default `Write`, 64 clients", "strict_write.c64.130B.uniform", "≥ 0.95 ×"},
}

// summarize writes the comparisons as a table, for the documentation.
func (b *bench) summarize() error {
	var text strings.Builder
	text.WriteString("| | a second: ours, theirs | ratio (lowest to highest) | p50 | p99 | processor | target |\n|---|---|---|---|---|---|---|\n")
	for _, t := range targets {
		figure := func(name string) float64 {
			f, _ := b.results.Figure(t.cell + "." + name)
			return f
		}
		if _, ok := b.results.Figure(t.cell + ".ratio"); !ok {
			continue
		}
		fmt.Fprintf(&text, "| %s | %.0f, %.0f | %.2f × (%.2f to %.2f) | %.2f × | %.2f × | %.2f × | %s |\n", t.title,
			figure("ours_per_s"), figure("theirs_per_s"), figure("ratio"), figure("ratio_low"), figure("ratio_high"),
			figure("p50_ratio"), figure("p99_ratio"), figure("cpu_ratio"), t.want)
	}
	return os.WriteFile(filepath.Join(b.cfg.Out, "table.md"), []byte(text.String()), 0o644)
}
