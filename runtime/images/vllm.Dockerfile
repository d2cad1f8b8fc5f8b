# vLLM with Fairlead's agent: docker build -t registry.example.com/fairlead/vllm:0.32.0 -f runtime/images/vllm.Dockerfile runtime/agent
#
# An index of your own, or a proxy's certificate: --secret id=pip-conf,src=pip.conf --secret id=pip-ca,src=ca.pem (pip.conf then says
# `cert = /run/secrets/pip-ca`). Neither is kept in the image.
ARG BASE=docker.io/vllm/vllm-openai:v0.32.0

FROM ${BASE} AS build
# An environment of its own, so that the agent's packages and the engine's never meet.
RUN python3 -m venv /opt/fairlead/agent
COPY requirements.txt /opt/fairlead/agent/
RUN --mount=type=secret,id=pip-conf,target=/etc/pip.conf --mount=type=secret,id=pip-ca \
    /opt/fairlead/agent/bin/python3 -m pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
      --only-binary=:all: -r /opt/fairlead/agent/requirements.txt && \
    /opt/fairlead/agent/bin/python3 -m pip uninstall --yes --quiet pip setuptools && \
    /opt/fairlead/agent/bin/python3 -c "import pathlib, sysconfig; \
      pathlib.Path(sysconfig.get_path('purelib'), 'fairlead-agent.pth').write_text('/opt/fairlead/agent/src\n')"
COPY src /opt/fairlead/agent/src
# Compiled now: the container's root is read-only, so each start would compile again.
RUN /opt/fairlead/agent/bin/python3 -m compileall -q /opt/fairlead/agent/src

FROM ${BASE}
COPY --from=build /opt/fairlead/agent /opt/fairlead/agent
# A name for the user: torch.compile asks for it.
RUN echo 'fairlead:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd
USER 65532:65532
# -I: what the pod's environment says to Python is meant for the engine.
ENTRYPOINT ["/opt/fairlead/agent/bin/python3", "-I", "-m", "fairlead_agent"]
