"""The model as MLflow loads it: this file, and the portable model beside it; nothing is pickled."""

from mlflow.models import set_model

from raytrain.retrieval.registry.pyfunc import SearchModel

set_model(SearchModel())
