# %% [markdown]
# # Unmeasured times
#
# > **Learning goals**
# > - hold out a time point.
# >
# > **Before**: nothing.
# >
# > **Time**: 1 min to read, 1 min to run.

# %% tags=["colab"]
# Google Colab only: install the book's package and keep the installed numpy and torch.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.metadata import version

    keep = [f"{name}=={version(name)}" for name in ("numpy", "torch")]
    source = "scstlib @ git+https://github.com/scstlib/scstlib@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *keep, source], check=True)

# %% tags=["parameters"]
profile = "fast"
seed = 0

# %%
print("before the data")


# %%
class DataUnavailableError(FileNotFoundError):
    """Stands for scstlib.datasets.DataUnavailableError."""


error = DataUnavailableError(
    "semrau2017 is not here: run `python -m scstlib.datasets fetch semrau2017`."
)
error.dataset, error.missing = "semrau2017", [("panel_real.txt", "https://example.org")]
raise error

# %% caption="A figure." alt="A figure."
print("after the data")


# %% [markdown]
# ## Key points
#
# - One point.
#
# ## Exercises
#
# > **Exercise** Say what is 1 + 1.
#
# <details><summary>Solution</summary>
#
# `1 + 1` is 2.
#
# </details>
#
# ## Further reading
#
# - [Chari and Pachter 2023](https://doi.org/10.1371/journal.pcbi.1011288).
