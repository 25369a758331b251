# A static binary, run by a user without rights. Mount a volume at /var/lib/strongroom
# and a configuration at /etc/strongroom/strongroom.yaml.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /strongroom ./cmd/strongroom

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /strongroom /strongroom
USER 65532:65532
EXPOSE 8443 8444
ENTRYPOINT ["/strongroom"]
CMD ["serve", "--config", "/etc/strongroom/strongroom.yaml"]
