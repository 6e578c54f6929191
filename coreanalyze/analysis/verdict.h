/* Verdicts by what the tables show, without looking at memory: what is provable at once, and the
 * rules that make a task suspect. A proof by reachability (proof.h) joins afterwards.
 */
#ifndef CA_ANALYSIS_VERDICT_H
#define CA_ANALYSIS_VERDICT_H

#include "analysis/sites.h"
#include "runtimes/tasks.h"

enum ca_rule {
    CA_RULE_NONE,
    CA_RULE_THRESHOLD,
    CA_RULE_MIN_AGE,
    CA_RULE_IO_NO_DEADLINE,
    CA_RULE_DEEP_DEFERS,
};

enum ca_proof {
    CA_PROOF_NONE,
    CA_PROOF_UNREACHABLE,
    CA_PROOF_DEADLOCK,
};

struct ca_verdict_limits {
    int64_t threshold;    /* tasks at one blocking site */
    int64_t min_age_ns;   /* 0: off */
    const uint8_t *timed; /* by task: a timer will release it, see ca_proof_timed; NULL: none */
};

/* The contract's words; NULL for none. */
const char *ca_verdict_name(enum ca_verdict verdict);
const char *ca_rule_name(enum ca_rule rule);
const char *ca_proof_name(enum ca_proof proof);

/* Sets verdict, rule and proof of every task. false: no memory. */
bool ca_verdict_judge(struct ca_tasks *tasks, const struct ca_sites *sites,
                      const struct ca_verdict_limits *limits);

#endif
