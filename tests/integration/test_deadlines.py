"""What a timer will end does not count for the rules: tests/programs/godeadlines says by its names
which of its goroutines are so."""

from collections import Counter

import crash
import goforms

EACH = 2000
ENDS = {"deadline", "deadlineInSelect", "childOfDeadline", "grandchildOfDeadline",
        "valueOfDeadline", "closedByTimer", "wideChild"}
STAYS = {"cancelled", "parentOfDeadline", "stoppedTimer", "reachedByTimer"}


def by_site(coreanalyze, core, binary, *options):
    groups = coreanalyze.json("leaks", core, "--exe", binary, *options)["groups"]
    found = Counter()
    for group in groups:
        if group["created"] and group["created"]["function"] in ("main.one", "main.main"):
            found[(group["site"]["function"].split(".")[1], group["verdict"], group["rule"])] += (
                group["count"])
    return found


def test_contexts_with_a_deadline(coreanalyze, toolchain, tmp_path):
    binary = goforms.build(toolchain, "godeadlines", tmp_path / "godeadlines")
    core = crash.run(binary, [str(EACH)], tmp_path / "run").core
    bare = goforms.strip(binary, tmp_path / "bare")
    expected = {(name, "waiting", None): EACH for name in ENDS}
    for program in (binary, bare):
        assert by_site(coreanalyze, core, program) == {
            **expected, **{(name, "suspect", "threshold"): EACH for name in STAYS}}
    # Without a look at the heap nothing is known of that.
    assert by_site(coreanalyze, core, binary, "--no-proof") == {
        (name, "suspect", "threshold"): EACH for name in ENDS | STAYS}
    core.unlink()
