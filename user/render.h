/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A snapshot as text, JSON or Prometheus exposition; and JSON pieces that `stats` and `replay` share.
 * Pure: no maps, no clock, no terminal questions.
 */
#ifndef RENDER_H
#define RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "snapshot.h"

/* Labels of enum values; NULL for a number that names none. */
const char *render_reason(int reason); /* "source_rate" */
const char *render_reason_sentence(int reason);
int render_reason_verdict(int reason);       /* enum sipdam_verdict: PASS or DROP */
const char *render_method(int method);       /* "INVITE", "other", "response" */
const char *render_class(int class);         /* "invite" */
const char *render_transport(int transport); /* "udp", "tcp", NULL */
const char *render_tls_version(int row);     /* "1.3", by enum sipdam_tls_version */

/* "1,234,567" */
#define RENDER_COUNT 27 /* 18,446,744,073,709,551,615 */
const char *render_count(__u64 count, char text[RENDER_COUNT]);

/* {REASON: packets, ...} and {METHOD: {"passed": N, "dropped": N}, ...}, every label present, summed
 * over transports. New references; NULL when out of memory. */
json_t *render_json_reasons(const struct sipdam_counters *counters);
json_t *render_json_methods(const struct sipdam_counters *counters);

/* {"offered": {VERSION: hellos, ...}, "chosen": {...}}, likewise. */
json_t *render_json_tls(const struct sipdam_tls_meter *meter);

/* The object of `stats --json`, interface NULL for all. New reference. */
json_t *render_json_stats(const struct snapshot *snapshot, const char *interface);
/* The tables of `stats`, at most 80 columns. */
void render_text_stats(const struct snapshot *snapshot, const char *interface, FILE *out);
/* Prometheus text exposition format 0.0.4, every row present at 0. snapshot NULL: nothing could be read,
 * only sipdam_up 0 and the build remain. */
void render_metrics(const struct snapshot *snapshot, FILE *out);
/* Whether the exporter can attach an interface again that was deleted and made again. */
void render_metrics_watch(bool able, FILE *out);

#endif
