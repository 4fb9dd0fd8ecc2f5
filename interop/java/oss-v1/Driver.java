import com.aliyun.oss.ClientBuilderConfiguration;
import com.aliyun.oss.OSSEncryptionClient;
import com.aliyun.oss.OSSEncryptionClientBuilder;
import com.aliyun.oss.common.auth.DefaultCredentialProvider;
import com.aliyun.oss.common.utils.VersionInfoUtils;
import com.aliyun.oss.crypto.EncryptionMaterials;
import com.aliyun.oss.crypto.MultipartUploadCryptoContext;
import com.aliyun.oss.crypto.SimpleRSAEncryptionMaterials;
import com.aliyun.oss.model.CompleteMultipartUploadRequest;
import com.aliyun.oss.model.GetObjectRequest;
import com.aliyun.oss.model.InitiateMultipartUploadRequest;
import com.aliyun.oss.model.OSSObject;
import com.aliyun.oss.model.PartETag;
import com.aliyun.oss.model.PutObjectRequest;
import com.aliyun.oss.model.UploadFileRequest;
import com.aliyun.oss.model.UploadPartRequest;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.util.ArrayList;
import java.util.List;

/** The driver of aliyun-sdk-oss. Version 3.18.5 has no {@code KmsEncryptionMaterials} any more. */
final class Driver implements Protocol.Handler {
    public static void main(String[] arguments) throws IOException {
        Protocol.serve("aliyun-sdk-oss", VersionInfoUtils.getVersion(), new Driver());
    }

    @Override
    public void write(Protocol.Request request) throws Throwable {
        OSSEncryptionClient client = client(request);
        try {
            switch (request.how()) {
                case "put" -> client.putObject(new PutObjectRequest(
                        request.bucket(), request.key(), request.source().toFile()));
                case "stream" -> stream(client, request);
                case "multipart" -> multipart(client, request);
                case "resumable" -> resumable(client, request);
                default -> throw new Protocol.Unsupported("no such way: " + request.how());
            }
        } finally {
            client.shutdown();
        }
    }

    @Override
    public void read(Protocol.Request request) throws Throwable {
        OSSEncryptionClient client = client(request);
        try {
            var get = new GetObjectRequest(request.bucket(), request.key());
            Protocol.Range range = Protocol.Range.of(request);
            if (range != null) {
                // The SDK's convention, too, is -1 for an open end.
                get.setRange(range.first(), range.last());
            }
            try (OSSObject object = client.getObject(get);
                    OutputStream out = Files.newOutputStream(request.target())) {
                object.getObjectContent().transferTo(out);
            }
        } finally {
            client.shutdown();
        }
    }

    private static void stream(OSSEncryptionClient client, Protocol.Request request)
            throws IOException {
        try (InputStream source = Files.newInputStream(request.source())) {
            client.putObject(request.bucket(), request.key(), source);
        }
    }

    private static void multipart(OSSEncryptionClient client, Protocol.Request request)
            throws IOException {
        String bucket = request.bucket();
        String key = request.key();
        long size = Files.size(request.source());
        var context = new MultipartUploadCryptoContext();
        context.setPartSize(request.partSize());
        context.setDataSize(size);
        String id = client.initiateMultipartUpload(
                new InitiateMultipartUploadRequest(bucket, key), context).getUploadId();
        List<PartETag> parts = new ArrayList<>();
        long offset = 0;
        do {
            long length = Math.min(request.partSize(), size - offset);
            try (InputStream source = Files.newInputStream(request.source())) {
                source.skipNBytes(offset);
                var part = new UploadPartRequest();
                part.setBucketName(bucket);
                part.setKey(key);
                part.setUploadId(id);
                part.setInputStream(source);
                part.setPartSize(length);
                part.setPartNumber(parts.size() + 1);
                parts.add(client.uploadPart(part, context).getPartETag());
            }
            offset += length;
        } while (offset < size);
        client.completeMultipartUpload(
                new CompleteMultipartUploadRequest(bucket, key, id, parts), context);
    }

    private static void resumable(OSSEncryptionClient client, Protocol.Request request)
            throws Throwable {
        var upload = new UploadFileRequest(request.bucket(), request.key());
        upload.setUploadFile(request.file());
        upload.setPartSize(request.partSize());
        client.uploadFile(upload);
    }

    private static OSSEncryptionClient client(Protocol.Request request) throws IOException {
        if (!"ctr".equals(request.content())) {
            throw new Protocol.Unsupported("the SDK has AES_CTR_MODE only");
        }
        if (!"header".equals(request.storage())) {
            throw new Protocol.Unsupported("the SDK has ObjectMetadata only");
        }
        var account = new DefaultCredentialProvider(Protocol.ACCESS_KEY, Protocol.SECRET);
        var configuration = new ClientBuilderConfiguration();
        configuration.setMaxErrorRetry(1);
        String endpoint = "http://127.0.0.1:" + Relay.port(request.endpoint());
        return new OSSEncryptionClientBuilder()
                .build(endpoint, account, materials(request), configuration);
    }

    private static EncryptionMaterials materials(Protocol.Request request) throws IOException {
        Protocol.Master master = request.master();
        return switch (master.wrap()) {
            case "rsa" -> rsa(request);
            case "kms" -> Kms.materials(request);
            default -> throw new Protocol.Unsupported("the SDK has no key wrap with AES");
        };
    }

    private static EncryptionMaterials rsa(Protocol.Request request) throws IOException {
        Protocol.Master master = request.master();
        KeyPair keys = keyPair(master);
        var materials = master.description() == null
                ? new SimpleRSAEncryptionMaterials(keys)
                : new SimpleRSAEncryptionMaterials(keys, master.description());
        for (Protocol.Master other : request.others() == null
                ? List.<Protocol.Master>of() : request.others()) {
            materials.addKeyPairDescMaterial(keyPair(other), other.description());
        }
        return materials;
    }

    private static KeyPair keyPair(Protocol.Master master) throws IOException {
        String key = Files.readString(Path.of(master.privateKey()));
        return new KeyPair(
                SimpleRSAEncryptionMaterials.getPublicKeyFromPemX509(
                        Files.readString(Path.of(master.publicKey()))),
                key.contains("BEGIN RSA PRIVATE KEY")
                        ? SimpleRSAEncryptionMaterials.getPrivateKeyFromPemPKCS1(key)
                        : SimpleRSAEncryptionMaterials.getPrivateKeyFromPemPKCS8(key));
    }
}
