# The worker alone: no shell, no libraries, no package manager. `make images` puts the static program into bin/.
FROM scratch
# A new volume on /data takes its owner from here, so that another user than root may write to it.
COPY --chown=65532:65532 data /data
COPY bin /usr/local/bin
USER 65532:65532
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/worker"]
