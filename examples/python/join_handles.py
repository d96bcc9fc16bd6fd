"""What a spawner does with its task: waits for it, looks whether it is done, cancels it, lets it
go; and what it learns when the task fails."""

import asyncio

import blitzio
from blitzio.sync import Event


async def fetch_profile(user: int) -> str:
    await blitzio.yield_now()
    if user < 0:
        raise LookupError("no such user")
    return "Alice"


async def fetch_posts(user: int) -> int:
    await blitzio.yield_now()
    return 42 if user == 7 else 0


async def fetch_from_replica(user: int) -> int:
    await blitzio.sleep(3600)
    return user


async def handle_request(user: int) -> None:
    """Two requests at once; a failure of one ends the other."""
    profile = blitzio.spawn(fetch_profile, user)
    posts = blitzio.spawn(fetch_posts, user)
    try:
        name = await profile
    except LookupError as error:
        posts.cancel()
        print(f"user {user}: {error}")
        return
    print(f"user {name} ({user}) has {await posts} posts")


async def main() -> None:
    await handle_request(7)
    await handle_request(-1)

    # Nobody waits for this one, but it runs.
    sent = Event()
    blitzio.spawn(sent.set)
    await sent.wait()

    # This one would take long, and is cancelled.
    endless = blitzio.spawn(blitzio.sleep(3600))
    print("finished:", endless.is_finished())
    endless.cancel()
    try:
        await endless
    except asyncio.CancelledError:
        print("cancelled")

    # All, or the first failure; what became of each; the fastest.
    print(await blitzio.join_all(fetch_profile(7), fetch_posts(7)))
    for outcome in await blitzio.try_join_all(fetch_posts(7), fetch_profile(-1)):
        print(outcome)
    print("fastest:", await blitzio.race(fetch_posts(7), fetch_from_replica(7)))


blitzio.run(main())
