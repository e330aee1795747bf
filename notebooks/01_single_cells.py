# %% [markdown]
# # Counts of single cells
#
# > **Learning goals**
# > - say what a bulk measurement hides.
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
import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# > **Note** Counts have an [unique molecular identifier](../book/glossary.md#umi), see
# > [Contact maps](03_contact_maps.ipynb). A line of mathematics: $x^2$.
#
# Embeddings distort [distances](https://doi.org/10.1371/journal.pcbi.1011288).

# %% caption="A line with *noise*." alt="A line that rises from left to right."
rng = np.random.default_rng(seed)
plt.plot(np.arange(10), np.arange(10) + rng.random(10))
plt.show()

# %%
print(round(float(rng.random()), 3), profile)


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
