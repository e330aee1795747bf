from . import spatial as spatial
from . import temporal as temporal
from .loading import load as load
from .spatial.scgraphic.default import ScGrapHiC as ScGrapHiC
from .spatial.scgraphic.published import PublishedScGrapHiC as PublishedScGrapHiC
from .temporal.scnode.default import ScNODE as ScNODE
from .temporal.scnode.published import PublishedScNODE as PublishedScNODE
