"""Memory of the web page's server under load: rounds of images and bad files from ten users at once.

    python examples/serve_load.py --rounds 10

Prints after each round how many requests were answered with depth and how many with a reason, and the memory
(RSS) of the server in MB. Requires the extra `web`, and Linux.
"""

import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro
from gradio_client import Client, handle_file
from huggingface_hub import constants
from PIL import Image

from mono2many.street.reader import StreetSettings, SyntheticReader


@dataclass(frozen=True)
class Settings:
    rounds: int = 10
    images: int = 10
    """Of each round."""
    bad: int = 50
    """Of each round: text named .jpg, empty videos, truncated images, and images of too many pixels."""
    users: int = 10
    height: int = 192
    width: int = 640
    port: int = 7890


def write_uploads(folder: Path, s: Settings) -> list[Path]:
    frame = SyntheticReader(StreetSettings(1, 1, s.height, s.width), "test").frame(0, 0).image
    image, huge = io.BytesIO(), io.BytesIO()
    Image.fromarray(frame.permute(1, 2, 0).numpy()).save(image, "JPEG")
    Image.new("1", (30_000, 30_000)).save(huge, "PNG")
    bad = {"jpg": b"text", "mp4": b"", "jpeg": image.getvalue()[:2000], "png": huge.getvalue()}
    kinds = [*bad.items()]
    contents = {f"good{i}.jpg": image.getvalue() + bytes([i]) for i in range(s.images)}
    for i in range(s.bad):
        suffix, data = kinds[i % len(kinds)]
        contents[f"bad{i}.{suffix}"] = data
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in contents]


def main(s: Settings) -> None:
    words = ["serve", "--port", str(s.port), "--keep-minutes", "1"]
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "mono2many", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = re.search(r"http\S+", server.stdout.readline())
        assert address is not None, "the server did not start"
        constants.HF_HUB_OFFLINE = True  # else gradio_client reports there
        patient = {"verbose": False, "httpx_kwargs": {"timeout": 600}}
        clients = [Client(address[0], **patient) for _ in range(s.users)]  # each a session of its own
        with TemporaryDirectory() as name, ThreadPoolExecutor(s.users) as users:
            uploads = write_uploads(Path(name), s)

            def ask(user: int) -> list[str]:
                call = clients[user].predict
                own = uploads[user :: s.users]
                return [str(call(handle_file(path), "starter", 65, api_name="/answer")[0]) for path in own]

            for number in range(1, s.rounds + 1):
                answers = [answer for own in users.map(ask, range(s.users)) for answer in own]
                depth = sum("m2m-result" in answer for answer in answers)
                reasons = sum('role="alert"' in answer for answer in answers)
                status = Path(f"/proc/{server.pid}/status").read_text()
                memory = int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1000
                line = f"round {number}: {len(answers)} requests, {depth} depth maps, {reasons} reasons"
                print(f"{line}; {memory:.0f} MB", flush=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(tyro.cli(Settings))
