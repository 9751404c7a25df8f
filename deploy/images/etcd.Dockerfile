# etcd and etcdctl, built from their Go modules at the version that the coordinator embeds. For trying things
# out: in production take the images of the etcd project.
FROM scratch
COPY --chown=65532:65532 data /data
COPY bin /usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/etcd"]
