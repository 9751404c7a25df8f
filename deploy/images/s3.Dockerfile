# versitygw, an S3 server over a directory. A bucket is a directory below /data/buckets: that is where
# "results" comes from.
FROM scratch
COPY --chown=65532:65532 data /data
COPY bin /usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/versitygw"]
