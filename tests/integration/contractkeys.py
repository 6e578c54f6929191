"""The keys of the JSON documents, in their order, and a check that a document has exactly these."""

HEAD = ["schema", "target", "runtimes", "gaps"]
TARGET = ["kind", "path", "pid", "executable", "build_id", "arch", "signal", "complete",
          "stopped_ns"]
RUNTIME = ["name", "version", "layout", "tasks", "counted"]
GAP = ["what", "address", "why"]
SITE = ["function", "file", "line"]
CREATED = SITE + ["by", "known_from"]
FRAME = ["pc", "sp", "function", "file", "line", "inlined"]
TASK = ["id", "address", "runtime", "name", "state", "reason", "since_ns", "verdict", "rule",
        "waiting_for", "entry", "created", "thread", "stack", "frames", "labels", "notes"]
CHANNEL = ["capacity", "length", "closed", "senders", "receivers"]
# Keys of waiting_for behind kind and address.
KINDS = {
    "channel": CHANNEL + ["direction", "deadline_ns"],
    "select": ["cases", "deadline_ns"],
    "mutex": ["owner", "waiters", "deadline_ns"],
    "rwmutex": ["owner", "waiters", "deadline_ns"],
    "waitgroup": ["waiters", "counter", "deadline_ns"],
    "cond": ["waiters", "deadline_ns"],
    "semaphore": ["waiters", "counter", "deadline_ns"],
    "timer": ["deadline_ns"],
    "sleep": ["deadline_ns"],
    "io": ["fd", "deadline_ns"],
    "join": ["owner", "waiters", "deadline_ns"],
    "event": ["waiters", "deadline_ns"],
    "nothing": [],
}
GROUP = ["verdict", "rule", "proof", "pattern", "confidence", "count", "reason", "site", "created",
         "frames", "ids", "waiting_for", "evidence", "retained", "oldest_ns", "advice"]
EVIDENCE = ["kind", "address", "task", "text"]
PATH = ["kind", "address", "name", "type", "offset", "function", "line"]
THREAD = ["tid", "name", "task", "pc", "signal"]
SUMMARY = ["leaked", "suspect", "waiting", "active", "system", "retained_bytes"]
DOCUMENTS = {
    "leaks": HEAD + ["summary", "groups"],
    "tasks": HEAD + ["tasks"],
    "task": HEAD + ["task", "others"],
    "explain": HEAD + ["task", "verdict", "proof", "evidence", "path"],
    "info": HEAD + ["threads", "counts", "memory", "procs", "cpus"],
}
VERDICTS = {"leaked", "suspect", "waiting", "active", "system"}
STATES = {"running", "runnable", "waiting", "syscall", "preempted", "dead"}


def same(what, value, keys):
    assert list(value) == keys, f"{what}: {list(value)}"


def address(value):
    assert value is None or int(value, 16) >= 0 and value.startswith("0x")


def each(what, values, keys):
    for value in values:
        same(what, value, keys)


def optional(what, value, keys):
    if value is not None:
        same(what, value, keys)


def waiting_for(value):
    if value is None:
        return
    same("waiting_for", value, ["kind", "address"] + KINDS[value["kind"]])
    address(value["address"])
    each("case", value.get("cases", []), ["direction", "address"] + CHANNEL)


def task(value):
    same("task", value, TASK)
    assert isinstance(value["id"], str)
    assert value["verdict"] in VERDICTS and value["state"] in STATES
    address(value["address"])
    waiting_for(value["waiting_for"])
    optional("entry", value["entry"], SITE)
    optional("created", value["created"], CREATED)
    optional("stack", value["stack"], ["low", "high"])
    each("frame", value["frames"], FRAME)
    assert isinstance(value["labels"], dict) and isinstance(value["notes"], list)


def group(value):
    same("group", value, GROUP)
    assert value["verdict"] in VERDICTS and value["count"] == len(value["ids"]) > 0
    optional("site", value["site"], SITE)
    optional("created", value["created"], CREATED)
    each("frame", value["frames"], FRAME)
    waiting_for(value["waiting_for"])
    each("evidence", value["evidence"], EVIDENCE)
    same("retained", value["retained"], ["stack_bytes", "heap_bytes"])


def document(command, value):
    same(command, value, DOCUMENTS[command])
    assert value["schema"] == "coreanalyze/1"
    same("target", value["target"], TARGET)
    assert value["runtimes"]
    each("runtime", value["runtimes"], RUNTIME)
    each("gap", value["gaps"], GAP)
    if command == "leaks":
        same("summary", value["summary"], SUMMARY)
        for one in value["groups"]:
            group(one)
    if command == "tasks":
        for one in value["tasks"]:
            task(one)
    if command in ("task", "explain"):
        task(value["task"])
    if command == "explain":
        assert value["verdict"] == value["task"]["verdict"]
        each("evidence", value["evidence"], EVIDENCE)
        each("path", value["path"], PATH)
    if command == "info":
        each("thread", value["threads"], THREAD)
        same("counts", value["counts"], ["states", "reasons"])
        same("memory", value["memory"], ["heap_in_use", "stacks_in_use", "last_gc_ns"])
