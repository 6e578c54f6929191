"""The way from a root to what a goroutine waits for: tests/programs/goroutes holds each thing in
another way and prints where it is. The names and types are its source's."""

import re
import subprocess

import crash
import goforms
import toolchains

CONN, CHAN = "*main.conn", "chan struct {}"
DONE = ("field done", CHAN)

# What leads there, from the variable on: name and type of each word. The addresses at the end are
# the program's own.
ROUTES = {
    "byMap": [("main.registry", "map[string]*main.conn"), ('value of key "10.0.0.7"', CONN), DONE],
    "byLargeMap": [("main.numbers", "map[int]*main.conn"), ("value of key 42", CONN), DONE],
    "bySlice": [("main.central, field peers", "[]*main.conn"), ("element 2", CONN), DONE],
    "byInterface": [("main.central, field any", CONN), DONE],
    "byArray": [("main.central, field last[3]", CONN), DONE],
    "byQueue": [("main.queue", "chan *main.conn"), ("in its buffer, element 1", CONN), DONE],
    "byStack": [("kept, on the stack of goroutine 1", CONN), DONE],
    "byBulk": [("main.anything", "*main.bulk"), DONE],
    "byMethod": [("main.method", "func()"), ("receiver of main.(*conn).hangUp", CONN), DONE],
    "byGlobalLock": [("main.central, field mu", "sync.Mutex")],
    "byLiteral": [("main.fixed, field last[1]", CONN), DONE],
    "byLiteralLock": [("main.fixed, field mu", "sync.Mutex")],
    "byHeapLock": [("main.shared", "*main.hub"), ("field mu", "sync.Mutex")],
}
# Of a program without symbols: what the runtime's own descriptors say.
BARE = {
    "byMap": [(None, CHAN)],
    "byInterface": [("a global variable", None), (None, CHAN)],
    "byBulk": [("a global variable", None), (None, CHAN)],
    "byHeapLock": [("a global variable", None)],
}


def crashed(toolchain, folder, *flags):
    """The program, its core, and what it said."""
    binary = goforms.build(toolchain, "goroutes", folder / "goroutes", *flags)
    result = crash.run(binary, folder=folder / "run")
    said = {}
    for line in result.stdout.splitlines():
        role, *words = line.split()
        said[role] = words
    return binary, result.core, said


def paths(coreanalyze, core, binary):
    """By the function that waits: what keeps it."""
    tasks = coreanalyze.json("tasks", core, "--exe", binary)["tasks"]
    found = {}
    for task in tasks:
        role = next((frame["function"] for frame in task["frames"]
                     if (frame["function"] or "").startswith("main.by")), None)
        if role:
            words = ["explain", task["id"], core, "--exe", binary]
            document = coreanalyze.json(*words)
            assert document["verdict"] == "waiting", role
            found[role[len("main."):]] = (task, document["path"], words)
    return found


def words_of(path):
    """Without the objects that variables lead to, which have no name of their own."""
    return [(step["name"], step["type"]) for step in path if step["name"] or step["type"]]


def ends_at(path, said):
    """The addresses of the last objects are those that the program printed."""
    addresses = [step["address"] for step in path if step["kind"] == "edge"]
    return addresses[-len(said):] == [hex(int(text, 16)) for text in said][-len(addresses):]


def test_names_and_types(coreanalyze, toolchain, tmp_path):
    binary, core, said = crashed(toolchain, tmp_path)
    bare = goforms.strip(binary, tmp_path / "bare")
    check_names(coreanalyze, binary, core, said)
    check_frames(coreanalyze, toolchain, binary, core, said)
    check_stripped(coreanalyze, toolchain, bare, core, said)
    core.unlink()


def test_position_independent(coreanalyze, tmp_path):
    newest = toolchains.newest()
    binary, core, said = crashed(newest, tmp_path, "-buildmode=pie")
    check_names(coreanalyze, binary, core, said)
    core.unlink()


def test_live(coreanalyze, tmp_path):
    """Types are known of a process that goes on, although its file has them unmoved."""
    newest = toolchains.newest()
    binary = goforms.build(newest, "goroutes", tmp_path / "goroutes", "-buildmode=pie")
    with subprocess.Popen([str(binary), "stay"], stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                if line == "ready\n":
                    break
            tasks = coreanalyze.json("tasks", "-p", str(process.pid))["tasks"]
            for role in ("byMap", "byInterface", "byQueue"):
                one = next(task["id"] for task in tasks
                           if any(frame["function"] == f"main.{role}" for frame in task["frames"]))
                path = coreanalyze.json("explain", one, "-p", str(process.pid))["path"]
                assert words_of(path) == ROUTES[role], role
        finally:
            process.kill()


def check_names(coreanalyze, binary, core, said):
    found = paths(coreanalyze, core, binary)
    done, lock, far = (int(text) for text in said["offset"])
    for role, expected in ROUTES.items():
        _, path, _ = found[role]
        assert words_of(path) == expected, role
        assert [step["kind"] for step in path] == ["root"] + ["edge"] * (len(path) - 1), role
        if role in ("byGlobalLock", "byLiteralLock"):
            assert [step["address"] for step in path] == said[role]
            continue
        assert ends_at(path, said[role]), (role, path, said[role])
        offset = {"byBulk": far, "byHeapLock": lock}.get(role, done)
        assert path[-1]["offset"] == offset, role
    _, path, words = found["byMap"]
    text = coreanalyze.run(*words).stdout.decode()
    assert re.search(r'kept by +main\.registry +map\[string\]\*main\.conn 0x', text)
    assert re.search(r'-> value of key "10\.0\.0\.7" +\*main\.conn ' + said["byMap"][0], text)
    assert re.search(rf'-> field done, offset {done} +chan struct {{}} {said["byMap"][1]}  '
                     r"<- receives here", text)


def check_frames(coreanalyze, toolchain, binary, core, said):
    found = paths(coreanalyze, core, binary)
    _, path, _ = found["byStack"]
    source = (goforms.PROGRAMS / "goroutes" / "main.go").read_text().splitlines()
    assert path[0]["function"] == "main.main"
    assert any(word in source[path[0]["line"] - 1] for word in ("time.Sleep", "syscall.Kill"))
    _, path, _ = found["byTimer"]
    # What time it was is not always known.
    assert re.fullmatch(r"timer(, due in 3[456]\d\d s)?", path[0]["name"])
    assert path[0]["type"] == "func()" and path[0]["function"].startswith("context.With")
    assert path[-1]["address"] == said["byTimer"][0] and path[-1]["type"] == CHAN
    # Who runs has it in a register, or in a frame whose slots may be of before: that is said.
    spins = [task["id"] for task in coreanalyze.json("tasks", core, "--exe", binary)["tasks"]
             if any(frame["function"] == "main.spin" for frame in task["frames"])]
    _, path, _ = found["byRunning"]
    assert f"goroutine {spins[0]}" in path[0]["name"] and "may be stale" in path[0]["name"]
    # What a closure captures has a name since Go 1.23.
    _, path, _ = found["byClosure"]
    assert words_of(path)[0] == ("main.make1", "func() *main.conn")
    if toolchain.minor >= 23:
        assert words_of(path)[1:] == [("variable captured of main.main.func1", CONN), DONE]
    else:
        assert path[2]["name"] == "variable of main.main.func1" and path[2]["type"] is None
    # One goroutine's stack keeps what another waits for, and is itself waited for.
    _, path, _ = found["byMapOf"]
    waiter, _, _ = found["byWaiter"]
    through = [step for step in path if f"stack of goroutine {waiter['id']}" in (step["name"] or "")]
    assert len(through) == 1 and through[0]["kind"] == "edge"
    assert through[0]["function"] == "main.byWaiter"
    assert path[-1]["address"] == said["byWaiter"][1]


def check_stripped(coreanalyze, toolchain, binary, core, said):
    found = paths(coreanalyze, core, binary)
    for role in BARE:
        _, path, _ = found[role]
        if role != "byHeapLock":
            assert path[-1]["address"] == said[role][-1] and path[-1]["type"] == CHAN, role
        assert path[0]["name"] == "a global variable" and path[0]["type"] is None, role
    # The object itself says what it is, and so what its field is called.
    if toolchain.minor >= 22:
        _, path, _ = found["byBulk"]
        assert words_of(path)[-1] == DONE
    _, path, _ = found["byTimer"]
    assert path[0]["name"].startswith("timer") and path[0]["type"] == "func()"
