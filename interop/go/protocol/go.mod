module envelope.interop/protocol

go 1.26.0
