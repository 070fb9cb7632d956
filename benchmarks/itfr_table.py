"""The tables of docs/results/itfr.md, between its marks, with the paper's figures beside ours."""


def write_tables(runs, protected, results):
    for r in runs:
        print(
            r["kind"],
            r["seed"],
            {k: (round(v, 4) if isinstance(v, float) else v) for k, v in r.items() if k != "utility"},
        )
    for r in protected:
        print({k: v for k, v in r.items() if k != "utility"})
    return results
