"""Wrong ways to name, make, call and ask for things: each is one `error:` line with what to write, no traceback."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from attnprof.cli.main import main

FILES = {
    "mine.py": """
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as sdpa


class Plain(nn.Module):
    def __init__(self, dim=64, heads=4):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return sdpa(q, k, v)


class NeedsWindow(nn.Module):
    def __init__(self, dim, window):
        super().__init__()


class Raises(Plain):
    def forward(self, x):
        raise ValueError("no luck")


class Made(Plain):
    def __init__(self, dim=64):
        self.x = nope


class NoSuper(nn.Module):
    def __init__(self, dim=64):
        self.layer = nn.Linear(dim, dim)


class NoForward(nn.Module):
    def __init__(self, dim=64):
        super().__init__()


class GivesInt(Plain):
    def forward(self, x):
        return x.argmax(-1)


class GivesNone(Plain):
    def forward(self, x):
        self.seen = x.shape


class Kernel(Plain):
    def forward(self, x):
        raise RuntimeError("0 active drivers ([]). There should only be one.")


class Cuda(Plain):
    def forward(self, x):
        return super().forward(x.cuda())


class Strange(Plain):
    def forward(self, x, gadget):
        return x


class Asserts(Plain):
    def forward(self, x):
        assert x.shape[1] % 49 == 0
        return super().forward(x)


class Exits(Plain):
    def forward(self, x):
        raise SystemExit("bye")


class Again(Plain):
    def forward(self, x):
        return self.forward(x)


class Missing(Plain):
    def forward(self, x):
        return {}["key"]


class NoModule:
    pass


number, text, built = 3, "text", Plain(48)


def gives_three(q, k, v):
    return 3


def two(q, k):
    return q


def factory():
    return 7


def bad_mod(b, h, q_idx, kv_idx):
    return q_idx.nope
""",
    "syntax.py": "class A(:\n",
    "imports.py": "import not_there_at_all\n",
    "raising.py": 'raise RuntimeError("at import")\n',
    "exiting.py": "import sys\nsys.exit(3)\n",
    "empty.py": "",
    "oops.py": "from attnprof.pattern import Band\n\n\ndef pattern(n, *, window=4):\n    return Band(window, oops)\n",
    "three.py": "def pattern(n):\n    return 3\n",
    "no_n.py": "def pattern():\n    return 3\n",
    "bad.json": '{"a": ',
    "list.json": "[1]",
    "typo.json": '{"hidden_sise": 3}',
}
LLAMA = "transformers:LlamaModel"
# What is typed, and what the error and its hint have to say.
WAYS = (
    ("cost longfromer", "unknown scheme 'longfromer'", "did you mean longformer"),
    ("cost Longformer", "unknown scheme 'Longformer'", "did you mean longformer"),
    ("cost long", "unknown scheme 'long'", "longformer"),
    *(
        (f"{command} dense,flash", "unknown scheme 'dense,flash'", "words of their own, without commas: dense flash")
        for command in ("sweep", "cost", "graph", "check", "limit", "audit", "show")
    ),
    ("sweep dense, flash", "unknown scheme 'dense,'", "without commas: dense"),
    ("cost mine.py:Plain,mine.py:Raises", "unknown scheme", "without commas: mine.py:Plain mine.py:Raises"),
    ("sweep longfromer", "unknown scheme 'longfromer'", "did you mean longformer"),
    ("cost torch.nn.MultiheadAttention", "unknown scheme", "has a colon: torch.nn:MultiheadAttention"),
    ("cost torch.nn:MultiHeadAttention", "unknown class or function of torch.nn", "did you mean MultiheadAttention"),
    ("cost torch.nnn:MultiheadAttention", "No module named 'torch.nnn'", "package.module:Class"),
    ("cost torch:nn:MultiheadAttention", "cannot import 'torch:nn'", "a package has dots: torch.nn"),
    ("cost not_there_at_all:A", "No module named 'not_there_at_all'", "install not_there_at_all"),
    ("cost nosuch.py", "no such file: nosuch.py", "attnprof list"),
    ("cost nosuch.py:A", "no such file: nosuch.py", "the path of a .py file"),
    ("cost .", ". is no target", "file.py:object"),
    ("cost mine.py:", "'mine.py:' is half a name", "so: mine.py:Class"),
    ("cost :Plain", "':Plain' is half a name", "so: file.py:Plain"),
    ("cost mine.py", "defines no function `pattern`, and", "name one: mine.py:Plain"),
    ("cost mine.py:Plane", "unknown class or function of mine.py 'Plane'", "did you mean Plain"),
    ("cost mine.py:NoModule", "is a class, and not one of nn.Module", "class NoModule(nn.Module)"),
    ("cost mine.py:number", "mine.py:number is of type int", "a target is a name, a path"),
    ("cost mine.py:text", "mine.py:text is of type str", "an nn.Module or its class"),
    ("cost mine.py:factory", "makes something of type int", "a factory returns one"),
    ("cost mine.py:NeedsWindow", "missing a required argument: 'window'", "by --arg KEY=VALUE"),
    ("cost mine.py:Plain --arg windw=3", "unexpected keyword argument 'windw'", "takes (dim, heads)"),
    ("cost mine.py:Plain --arg heads", "cannot read the setting 'heads'", "window=256"),
    ("cost mine.py:Plain --arg Other.heads=2", "--arg Other.heads is of no target here", "--arg Plain.heads=VALUE"),
    ("cost mine.py:built --dim 64", "has dim = 48, and dim = 64 is asked for", "leave dim out"),
    ("cost mine.py:built --arg dim=3", "is built already", "name its class instead"),
    ("cost mine.py:Made", "cannot be made, line 27: NameError: name 'nope'", "it was made with (dim=64)"),
    ("cost mine.py:NoSuper", "cannot assign module before Module.__init__() call", "it was made with (dim=64)"),
    ("cost mine.py:NoForward", 'missing the required "forward" function', "define forward(self, x)"),
    ("cost mine.py:Raises", "fails, line 22: ValueError: no luck", "called as forward(x=[1, 64, 64])"),
    ("cost mine.py:Missing", "KeyError: 'key'", "called as forward(x=[1, 64, 64])"),
    ("cost mine.py:Again", "RecursionError: maximum recursion depth exceeded", "called as forward"),
    ("cost mine.py:Asserts", "AssertionError: assert x.shape[1] % 49 == 0", "it runs at n = 49"),
    ("check mine.py:Exits", "ended the process: SystemExit: bye", "raise an exception"),
    ("cost mine.py:GivesInt", "mine.py:GivesInt: it returned a tensor of int64", "return a tensor"),
    ("cost mine.py:GivesNone", "mine.py:GivesNone: it returned None", "return a tensor"),
    ("cost mine.py:gives_three", "mine.py:gives_three: it returned a value of type int", "return a tensor"),
    ("cost mine.py:Kernel", "0 active drivers", "needs a GPU: choose its path in plain torch"),
    ("cost mine.py:Cuda", "not compiled with CUDA", "needs a GPU"),
    ("cost mine.py:Strange", "its call needs 'gadget'", "--input gadget=b,n,D"),
    ("cost mine.py:two", "its call needs 'k'", "--input k=b,n,D"),
    ("cost mine.py:Strange --input gadget", "does not say what gadget is", "memory=b,m,D"),
    ("cost mine.py:Strange --input gadget=b,n,Z", "'Z' is no size", "of the letters b h g n m d D"),
    ("cost mine.py:Strange --input gizmo=b,n,D", "--input gizmo is none of its parameters", "it takes (x, gadget)"),
    ("cost mine.py:Plain --call 'm(x,'", "--call 'm(x,' is no expression", "m(x, x, x)"),
    ("cost mine.py:Plain --call 'm(x.y)'", "has 'x.y' in it", "names of inputs, numbers"),
    ("cost mine.py:Plain --output logits", "unknown output of a Tensor 'logits'", "known: 0"),
    ("cost mine.py:Plain --causal", "--causal binds to nothing", "its constructor takes (dim, heads)"),
    ("cost mine.py:Plain --kv-heads 2", "--kv-heads binds to nothing", "leave --kv-heads out"),
    ("cost mine.py:Plain --level core", "--level binds to nothing", "leave --level out"),
    ("cost mine.py:Plain --heads 5", "5 heads do not divide the width 64", "2 and 4"),
    ("cost mine.py:Plain --layout bhnd", "do not lie as bhnd", "--layout bnd or nbd"),
    ("cost mine.py:Plain --layout abc", "unknown layout 'abc'", "known: bhnd, bnd"),
    ("cost mine.py:Plain --config typo.json", "takes no config", "by --arg KEY=VALUE"),
    ("cost mine.py:Plain --set window=3", "has no parameters to --set", "by --arg KEY=VALUE"),
    ("cost mine.py:Plain --impl flash", "unknown implementation 'flash'", "flash_attn"),
    ("cost mine.py:bad_mod", "mask_mod bad_mod fails at n = 64", "it takes (b, h, q_idx, kv_idx)"),
    ("cost syntax.py:A", "syntax.py, line 1, does not run: SyntaxError", "python syntax.py"),
    ("cost imports.py:A", "line 1, does not run: ModuleNotFoundError", "install what not_there_at_all is of"),
    ("cost raising.py:A", "raising.py, line 1, does not run: RuntimeError: at import", "python raising.py"),
    ("cost exiting.py:A", "exiting.py, line 2, does not run: SystemExit: 3", "python exiting.py"),
    ("cost empty.py", "defines no function `pattern`", "def pattern(n, *"),
    ("cost oops.py", "oops.py, line 5, fails: NameError: name 'oops'", "called as pattern(64, window=4)"),
    ("cost three.py", "the pattern of three is 3, no expression", "Band(256) | Global(4)"),
    ("cost no_n.py", "pattern() takes 0 positional arguments", "called as pattern(64)"),
    ("cost longformer --set windo=3", "unknown parameter of longformer 'windo'", "did you mean window"),
    ("cost longformer --set bigbird.block=3", "unknown target in --set 'bigbird'", "known: longformer"),
    ("cost longformer --arg window=3", "longformer is no code of yours", "--set NAME.PARAM=VALUE"),
    ("cost longformer --lengths 1kk", "cannot read the lengths '1kk'", "did you mean 1k?"),
    ("cost longformer --lengths 0", "a length is positive", "1k-64k (doubling)"),
    ("cost longformer --pass training", "unknown pass 'training'", "did you mean train?"),
    ("cost longformer --dtype fp16", "unknown dtype 'fp16'", "did you mean float16"),
    ("cost longformer --heads 3", "3 heads do not divide the width 64", "2 and 4"),
    ("check mine.py:Plain --against nope", "unknown scheme 'nope'", "did you mean"),
    ("check mine.py:Plain --claim n^3", "'n^3' is no order of growth", "n*log(n)"),
    ("check mine.py:Raises", "fails, line 22: ValueError: no luck", "called as forward"),
    ("check mine.py:Plain --n many", "cannot read the length 'many'", "4096, 4k, 1m"),
    ("graph mine.py:GivesInt", "mine.py:GivesInt: it returned a tensor of int64", "return a tensor"),
    ("cost mine.py::Plain", "has more than one colon", "called by its forward: mine.py:Plain"),
    ("cost mine.py:Plain:forward", "has more than one colon", "called by its forward: mine.py:Plain"),
    ("cost Plain", "unknown scheme 'Plain'", "a class of your own is file.py:Plain"),
    ("cost meta-llama/Llama-3-8B", "is no target", "hf:llama, hf:config.json"),
    ("cost 128", "128 is no target", "--lengths 64,128"),
    ("check true", "true is no target", "a flag such as --causal is followed by none"),
    ("cost mine.py:Plain --input x=1,64,64", "has no axis n", "x=b,n,D"),
    ("cost mine.py:Plain --input x=b,n,D:float", "'float' is no kind of numbers", "int, or none"),
    ("cost mine.py:Plain --input x=b,n,D --call 'm(y)'", "makes no use of --input x", "m(x, x, x)"),
    ("cost mine.py:Plain --call 'm()'", "is given no tokens", "m(x, memory, mask=None)"),
    ("cost mine.py:Plain --call 'm(x, *x)'", "has '*x' in it", "names of inputs"),
    ("cost mine.py:Plain --config-arg dim=32", "takes no config", "by --arg KEY=VALUE"),
    ("cost mine.py:Plain --arg dim=32", "has dim = 32, and dim = 64 is asked for", "leave dim out"),
    ("cost mine.py:Plain --output 3", "unknown output of a Tensor '3'", "known: 0"),
    ("cost mine.py:Plain --pass backward", "unknown pass 'backward'", "did you mean train?"),
    ("cost mine.py:Plain --dtype half", "unknown dtype 'half'", "did you mean float16?"),
    ("cost mine.py:Plain --lengths 64:128", "cannot read the lengths", "did you mean 64-128?"),
    ("cost mine.py:Plain --batch 0", "batch is 0", "--batch 8"),
    ("cost mine.py:Plain --impl sdpa", "--impl binds to nothing", "leave --impl out"),
    ("cost mine.py:Plain --keys 32", "--keys binds to nothing", "leave --keys out"),
    ("cost mine.py:Plain --depth 3", "--depth binds to nothing", "leave --depth out"),
    ("cost mine.py:Plain --sequences 4", "--sequences is of a whole model", "attnprof cost hf:llama --sequences"),
    ("cost dense --tp 2", "--tp is of a whole model, and dense is none", "hf:MODEL_TYPE"),
    ("cost numpy:array", "numpy:array: it returned a value of type ndarray", "return a tensor"),
    ("cost torch.nn:functional", "torch.nn:functional is of type module", "a target is a name"),
    ("cost torch.nn:Linear", "missing a required argument: 'in_features'", "by --arg KEY=VALUE"),
    ("cost torch:zeros", "torch:zeros fails: TypeError", "called as zeros"),
    ("check mine.py:NeedsWindow --arg window=3", "NotImplementedError", "define forward(self, x)"),
    ("check mine.py:Plain --n 0", "a length is positive", "4096, 4k, 1m"),
    ("check mine.py:Plain --claim linear", "'linear' is no order of growth", "n*log(n)"),
    ("graph mine.py:two", "its call needs 'k'", "--input k=b,n,D"),
    ("graph mine.py:GivesNone", "it returned None", "return a tensor"),
    ("graph mine.py:Kernel", "0 active drivers", "needs a GPU"),
)
OF_A_CONFIG = (
    (f"cost {LLAMA} --config bad.json", "bad.json is no JSON", "one JSON object"),
    (f"cost {LLAMA} --config list.json", "list.json holds no object", '{"hidden_size": 512}'),
    (f"cost {LLAMA} --config absent.json", "cannot read absent.json", "the path of a JSON file"),
    (f"cost {LLAMA} --config typo.json", "unknown key of LlamaConfig", "did you mean hidden_size"),
    (f"cost {LLAMA} --config-arg hidden_sise=3", "unknown key of LlamaConfig", "did you mean hidden_size"),
    ("cost transformers:nope", "unknown class or function of transformers", "did you mean"),
)
USUAL = {
    "cost": ("--lengths 64", "--dim 64", "--no-forms", "--pass forward"),
    "check": ("--dim 64",),
    "graph": ("--no-page",),
    "sweep": ("--device none",),
    "limit": ("--memory 1GiB",),
    "audit": (),
    "show": (),
}
SHORT = {"cost": (), "check": ("--n", "16"), "graph": ("--n", "16")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("wrong")
    for name, text in FILES.items():
        (found / name).write_text(text.lstrip("\n"))
    return found


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_COLOR", "1")

    def typed(line: str) -> tuple[object, str]:
        words = shlex.split(line)
        for usual in USUAL[words[0]]:
            if usual.split()[0] not in words:
                words += usual.split()
        with pytest.raises(SystemExit) as ended:
            main(words)
        return ended.value.code, capsys.readouterr().err

    return typed


def refused(run: object, line: str, message: str, hint: str) -> None:
    assert callable(run)
    code, err = run(line)
    assert code == 1, err
    assert "Traceback" not in err
    head, _, tail = err.partition(" hint: ")
    assert head.startswith("error: ")
    assert message in head
    assert hint in tail


@pytest.mark.parametrize(("line", "message", "hint"), WAYS, ids=[way[0] for way in WAYS])
def test_a_wrong_way_is_one_line_with_what_to_write(run: object, line: str, message: str, hint: str) -> None:
    refused(run, line, message, hint)


@pytest.mark.parametrize(("line", "message", "hint"), OF_A_CONFIG, ids=[way[0] for way in OF_A_CONFIG])
def test_a_wrong_config_is_one_line_with_what_to_write(run: object, line: str, message: str, hint: str) -> None:
    pytest.importorskip("transformers")
    refused(run, line, message, hint)


def test_there_are_many_of_them() -> None:
    assert len({way[0] for way in (*WAYS, *OF_A_CONFIG)}) >= 60


@pytest.mark.parametrize("command", ["cost", "check", "graph"])
def test_the_other_targets_are_answered(run: object, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(run)
    with pytest.raises(SystemExit) as ended:
        main([command, "mine.py:Raises", "mine.py:Plain", *" ".join(USUAL[command]).split()])
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert "mine.py:Raises fails, line 22: ValueError: no luck" in shown.err
    assert "Plain" in shown.out
    assert "Traceback" not in shown.err


def test_two_of_one_name_stay_two(run: object, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "band.py").write_text(
            "from attnprof.pattern import Band\n\n\ndef pattern(n):\n    return Band(4)\n"
        )
        (folder / name / "layer.py").write_text((folder / "mine.py").read_text())
    for targets, names in (
        (("one/band.py", "two/band.py"), ("one/band", "two/band")),
        (("one/layer.py:Plain", "two/layer.py:Plain"), ("one/layer.py:Plain", "two/layer.py:Plain")),
    ):
        for command in ("cost", "check", "graph"):
            with pytest.raises(SystemExit):
                main([command, *targets, *" ".join(USUAL[command]).split(), "--json", *SHORT[command]])
            out = capsys.readouterr().out
            assert all(name in out for name in names), (command, names)
