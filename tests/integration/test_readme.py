"""README.md and docs/ show what the programs print, and their links lead somewhere."""

import difflib
import os
import re

import pytest

import readme

ROOT = readme.ROOT
BLOCKS = [block for path in readme.documents() for block in readme.blocks(path)]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
         *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = readme.Folder(tmp_path_factory.mktemp("readme"))
    yield made
    made.close()


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_what_is_shown_is_what_is_printed(block, folder, coreanalyze):
    if os.environ.get("CA_SANITIZED") and not all(
        step.command.startswith("coreanalyze ") for step in block.steps
    ):
        pytest.skip("no debugger and no Python loads a library with ASan")
    for step, printed in zip(block.steps, readme.run(block, folder, coreanalyze.path)):
        if not readme.same(step.shown, printed):
            difference = difflib.unified_diff(
                [readme.normal(line) for line in step.shown],
                [readme.normal(line) for line in printed],
                "shown", "printed", lineterm="", n=1,
            )
            pytest.fail(
                f"{block}: {step.prompt}{step.command}\n" + "\n".join(difference)
                + "\n\nIt printed:\n" + "\n".join(printed)
                + f"\n\nWhere that is right, refresh the documents: {readme.REFRESH}",
                pytrace=False,
            )


def test_the_readme_begins_as_it_should():
    text = (ROOT / "README.md").read_text()
    blocks = readme.blocks(ROOT / "README.md")
    assert blocks, "README.md shows no command"
    before = text.split("\n```")[0].strip().split("\n\n")
    assert before[0] == "# coreanalyze"
    assert "coreanalyze" in blocks[0].steps[0].command
    after = text.split("```", 2)[2]
    assert after.index("make demo") < after.index("make check")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path):
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", path.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


@pytest.mark.parametrize("one, other", [
    ("goroutine 17 at 0xc000012345, 3 ms", "goroutine 4 at 0xc000aaa000, 2m 10s"),
    ("     17  waiting  chan send", " 5  waiting  chan send"),
    ("holds 1.9 GB: 40 kB each", "holds 17,024 B: 3.4 kB each"),
    ("at /home/a/samples/go/timeout/leak.go:28", "at /b/leak.go:28"),
])
def test_what_differs_between_runs_does_not_count(one, other):
    assert readme.normal(one) == readme.normal(other)


@pytest.mark.parametrize("one, other", [
    ("5 goroutines leaked", "6 goroutines leaked"),
    ("leak.go:28", "leak.go:29"),
    ("LEAKED 5", "SUSPECT 5"),
])
def test_what_is_wrong_counts(one, other):
    assert readme.normal(one) != readme.normal(other)


@pytest.mark.parametrize("shown, printed, right", [
    (["a", "b"], ["a", "b"], True),
    (["a", "b"], ["a"], False),
    (["a"], ["a", "b"], False),
    (["a", "..."], ["a", "b", "c"], True),
    (["a", "..."], ["b"], False),
    (["...", "c"], ["a", "b", "c"], True),
    (["a", "...", "c", "...", "e"], ["a", "b", "c", "d", "e"], True),
    (["a", "...", "x", "...", "e"], ["a", "b", "c", "d", "e"], False),
    (["a", "...", "a"], ["a"], False),
    (["..."], [], True),
    ([""], [], True),
])
def test_dots_stand_for_any_lines(shown, printed, right):
    assert readme.same(shown, printed) is right


def test_blocks_are_found_with_their_steps(tmp_path):
    path = tmp_path / "x.md"
    path.write_text("""
```
not run
```
```
$ coreanalyze core.x
one
two

$ gdb ./x core.x
...
(gdb) leaks
three
$ python3 -c "
> print()"

```
""")
    (block,) = readme.blocks(path)
    assert [(step.prompt, step.command, step.shown) for step in block.steps] == [
        ("$ ", "coreanalyze core.x", ["one", "two", ""]),
        ("$ ", "gdb ./x core.x", ["..."]),
        ("(gdb) ", "leaks", ["three"]),
        ("$ ", 'python3 -c "\nprint()"', [""]),
    ]
