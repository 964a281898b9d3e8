"""`siamjax models`: the trackers that ship with siamjax."""


def models() -> None:
    """Lists the trackers that ship.

    `--weights` takes any of these names; the first is the default.
    """
    from siamjax import shipped

    known = shipped.catalogue()
    if not known:
        print("this copy of siamjax ships no trackers")
    for name, entry in known.items():
        path = shipped.weights_of(name)
        lines = {
            "size": f"{path.stat().st_size / 1e6:.1f} MB",
            "speed": entry.speed,
            "scores": ", ".join(f"{key} {value}" for key, value in entry.scores.items()),
            "licence": entry.licence,
            "about": entry.summary,
            "file": str(path),
        }
        print(name)
        for label, text in lines.items():
            if text:
                print(f"  {label + ':':9}{text}")
