# The image of clusters/kuberay.yaml's pods; docs/clusters.md says how it is built, in the project's folder.
FROM rayproject/ray:2.60.0-py312-gpu
WORKDIR /home/ray/cifarray
COPY --chown=ray pyproject.toml constraints.txt README.md LICENSE ./
COPY --chown=ray cifarray cifarray
COPY --chown=ray jobs jobs
COPY --chown=ray search_spaces search_spaces
RUN pip install --constraint constraints.txt --editable '.[aws]'
