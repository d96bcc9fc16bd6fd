"""Text files with codecs that are not what they should be, and that call back."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import pytest

from blitzio import fs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.python.runtime.conftest import Run

NAME = "blitzio-test"


@pytest.fixture
def codec() -> Iterator[Callable[..., None]]:
    """Registers a decoder and an encoder under the name NAME."""
    registered: list[codecs.CodecInfo] = []

    def register(decoder: Any, encoder: Any = codecs.IncrementalEncoder) -> None:
        registered.append(
            codecs.CodecInfo(
                codecs.latin_1_encode,
                codecs.latin_1_decode,
                incrementaldecoder=decoder,
                incrementalencoder=encoder,
                name=NAME,
            )
        )

    def search(name: str) -> codecs.CodecInfo | None:
        return registered[0] if registered and name.replace("_", "-") == NAME else None

    codecs.register(search)
    yield register
    codecs.unregister(search)


class Decoder(codecs.IncrementalDecoder):
    def decode(self, data: Any, final: bool = False) -> str:
        return bytes(data).decode("latin-1")

    def getstate(self) -> tuple[bytes, int]:
        return b"", 0


@pytest.mark.parametrize("mode", ["r", "w"])
@pytest.mark.parametrize("name", ["hex", "rot13", "base64"])
def test_an_encoding_is_one_of_text(run: Run, tmp_path: Path, name: str, mode: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"616263")

    async def main() -> None:
        with pytest.raises(LookupError, match="is not a text encoding"):
            await fs.open(path, mode, encoding=name, newline="\n")
        with pytest.raises(LookupError, match="is not a text encoding"):
            await fs.read_text(path, encoding=name)

    run(main())
    assert path.read_bytes() == b"616263"


class NoText(Decoder):
    def decode(self, data: Any, final: bool = False) -> Any:
        return bytes(data)


class NoState(Decoder):
    def getstate(self) -> Any:
        return 5


@pytest.mark.parametrize(
    ("decoder", "message"),
    [(NoText, "should return a string"), (NoState, "illegal decoder state")],
)
@pytest.mark.parametrize("newline", ["\n", None])
def test_a_decoder_that_gives_no_text_is_a_type_error(
    run: Run, tmp_path: Path, codec: Any, decoder: type, message: str, newline: str | None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text\n")
    codec(decoder)

    async def main() -> None:
        async with fs.open(path, encoding=NAME, newline=newline) as file:
            with pytest.raises(TypeError, match=message):
                await file.read(3)

    run(main())


def test_an_encoder_that_gives_no_bytes_is_a_type_error(
    run: Run, tmp_path: Path, codec: Any
) -> None:
    class Encoder(codecs.IncrementalEncoder):
        def encode(self, text: str, final: bool = False) -> Any:
            return text

    codec(Decoder, Encoder)

    async def main() -> None:
        async with fs.open(tmp_path / "file", "w", encoding=NAME) as file:
            with pytest.raises(TypeError, match="should return a bytes object"):
                await file.write("text")

    run(main())
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.no_faults("counts on what is done on the spot")
@pytest.mark.parametrize("is_handler", [False, True], ids=["decoder", "handler"])
def test_a_codec_that_writes_to_the_file_it_reads_loses_nothing(
    run: Run, tmp_path: Path, codec: Any, is_handler: bool
) -> None:
    # More than stays allocated when what was read ahead is dropped, as write_at() does.
    path, text = tmp_path / "file", "ab\xff" * 100_000
    path.write_bytes(text.encode("latin-1"))
    files: list[Any] = []

    class Writing(Decoder):
        def decode(self, data: Any, final: bool = False) -> str:
            files[0].buffer.try_write_at(b"a", 0)
            return super().decode(data, final)

    def handle(error: UnicodeError) -> tuple[str, int]:
        files[0].buffer.try_write_at(b"a", 0)
        assert isinstance(error, UnicodeDecodeError)
        return "\xff", error.end

    codec(Writing)
    codecs.register_error(NAME, handle)
    how = {"encoding": "utf-8", "errors": NAME} if is_handler else {"encoding": NAME}

    async def main() -> None:
        async with fs.open(path, "r+", 200_000, newline="\n", **how) as file:
            files.append(file)
            parts = [await file.read(10), await file.read(150_000)]
            assert await file.tell() == 150_010
            parts.append(await file.read())
            assert "".join(parts) == text

    run(main())
