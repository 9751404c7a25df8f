# Something to put under load: it answers everything with 204, and counts.
FROM scratch
COPY bin /usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/target"]
