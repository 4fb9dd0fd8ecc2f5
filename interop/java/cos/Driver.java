import com.qcloud.cos.COSEncryptionClient;
import com.qcloud.cos.ClientConfig;
import com.qcloud.cos.auth.BasicCOSCredentials;
import com.qcloud.cos.auth.COSStaticCredentialsProvider;
import com.qcloud.cos.http.HttpProtocol;
import com.qcloud.cos.internal.crypto.CryptoConfiguration;
import com.qcloud.cos.internal.crypto.CryptoMode;
import com.qcloud.cos.internal.crypto.CryptoStorageMode;
import com.qcloud.cos.internal.crypto.EncryptionMaterials;
import com.qcloud.cos.internal.crypto.EncryptionMaterialsProvider;
import com.qcloud.cos.internal.crypto.KMSEncryptionMaterials;
import com.qcloud.cos.internal.crypto.StaticEncryptionMaterialsProvider;
import com.qcloud.cos.model.CompleteMultipartUploadRequest;
import com.qcloud.cos.model.GetObjectRequest;
import com.qcloud.cos.model.InitiateMultipartUploadRequest;
import com.qcloud.cos.model.ObjectMetadata;
import com.qcloud.cos.model.PartETag;
import com.qcloud.cos.model.PutObjectRequest;
import com.qcloud.cos.model.UploadPartRequest;
import com.qcloud.cos.region.Region;
import com.qcloud.cos.transfer.TransferManager;
import com.qcloud.cos.transfer.TransferManagerConfiguration;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import javax.crypto.spec.SecretKeySpec;

/** The driver of cos_api. What differs between its versions is in {@code Api}. */
final class Driver implements Protocol.Handler {
    public static void main(String[] arguments) throws IOException {
        String version =
                Protocol.mavenVersion(COSEncryptionClient.class, "com.qcloud", "cos_api");
        Protocol.serve("cos_api", version, new Driver());
    }

    @Override
    public void write(Protocol.Request request) throws Throwable {
        COSEncryptionClient client = client(request);
        try {
            switch (request.how()) {
                case "put" -> client.putObject(upload(request));
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
        COSEncryptionClient client = client(request);
        try {
            var get = new GetObjectRequest(request.bucket(), request.key());
            Protocol.Range range = Protocol.Range.of(request);
            if (range != null) {
                setRange(get, range);
            }
            client.getObject(get, request.target().toFile());
        } finally {
            client.shutdown();
        }
    }

    private static void setRange(GetObjectRequest get, Protocol.Range range)
            throws ReflectiveOperationException {
        if (range.isSuffix()) {
            setEnd(get, "setRangeEnd", range.last());
        } else if (range.isOpen()) {
            setEnd(get, "setRangeStart", range.first());
        } else {
            get.setRange(range.first(), range.last());
        }
    }

    /** Calls a method that only newer versions have. */
    private static void setEnd(GetObjectRequest get, String name, long value)
            throws ReflectiveOperationException {
        try {
            GetObjectRequest.class.getMethod(name, long.class).invoke(get, value);
        } catch (NoSuchMethodException e) {
            throw new Protocol.Unsupported("this version has no GetObjectRequest." + name);
        }
    }

    private static PutObjectRequest upload(Protocol.Request request) {
        return new PutObjectRequest(request.bucket(), request.key(), request.source().toFile());
    }

    private static void stream(COSEncryptionClient client, Protocol.Request request)
            throws IOException {
        try (InputStream source = Files.newInputStream(request.source())) {
            client.putObject(new PutObjectRequest(
                    request.bucket(), request.key(), source, new ObjectMetadata()));
        }
    }

    private static void multipart(COSEncryptionClient client, Protocol.Request request)
            throws IOException {
        String bucket = request.bucket();
        String key = request.key();
        long size = Files.size(request.source());
        var initiate = new InitiateMultipartUploadRequest(bucket, key);
        Api.setSizes(initiate, size, request.partSize());
        String id = client.initiateMultipartUpload(initiate).getUploadId();
        List<PartETag> parts = new ArrayList<>();
        long offset = 0;
        do {
            long length = Math.min(request.partSize(), size - offset);
            var part = new UploadPartRequest()
                    .withBucketName(bucket)
                    .withKey(key)
                    .withUploadId(id)
                    .withPartNumber(parts.size() + 1)
                    .withFile(request.source().toFile())
                    .withFileOffset(offset)
                    .withPartSize(length)
                    .withLastPart(offset + length == size);
            parts.add(client.uploadPart(part).getPartETag());
            offset += length;
        } while (offset < size);
        client.completeMultipartUpload(
                new CompleteMultipartUploadRequest(bucket, key, id, parts));
    }

    private static void resumable(COSEncryptionClient client, Protocol.Request request)
            throws InterruptedException {
        var manager = new TransferManager(client);
        try {
            var configuration = new TransferManagerConfiguration();
            configuration.setMultipartUploadThreshold(request.partSize());
            configuration.setMinimumUploadPartSize(request.partSize());
            manager.setConfiguration(configuration);
            manager.upload(upload(request)).waitForUploadResult();
        } finally {
            manager.shutdownNow(false);
        }
    }

    private static COSEncryptionClient client(Protocol.Request request)
            throws IOException, GeneralSecurityException {
        var account = new BasicCOSCredentials(Protocol.ACCESS_KEY, Protocol.SECRET);
        var config = new ClientConfig(new Region("ap-guangzhou"));
        config.setHttpProtocol(HttpProtocol.http);
        // As a proxy, the loopback server sees the real host names, and so the bucket.
        config.setHttpProxyIp("127.0.0.1");
        config.setHttpProxyPort(Relay.port(request.endpoint()));
        Api.limitRetries(config);
        return Api.client(
                request, new COSStaticCredentialsProvider(account), materials(request), config,
                crypto(request));
    }

    private static CryptoConfiguration crypto(Protocol.Request request) {
        String mode = switch (request.content()) {
            case "ctr" -> "AesCtrEncryption";
            case "gcm" -> "AuthenticatedEncryption";
            case "cbc" -> "AesCbcEncryption";
            default -> request.content();
        };
        // By name, because older versions have fewer.
        if (Arrays.stream(CryptoMode.values()).noneMatch(it -> it.name().equals(mode))) {
            throw new Protocol.Unsupported("this version has no CryptoMode." + mode);
        }
        return new CryptoConfiguration(CryptoMode.valueOf(mode)).withStorageMode(
                "instruction".equals(request.storage())
                        ? CryptoStorageMode.InstructionFile
                        : CryptoStorageMode.ObjectMetadata);
    }

    private static EncryptionMaterialsProvider materials(Protocol.Request request)
            throws IOException, GeneralSecurityException {
        EncryptionMaterials main = materials(request.master());
        boolean alone = request.others() == null || request.others().isEmpty();
        if (main instanceof KMSEncryptionMaterials kms) {
            if (!alone) {
                throw new Protocol.Unsupported("KMSEncryptionMaterialsProvider has one key");
            }
            return Api.provider(kms);
        }
        if (alone) {
            return new StaticEncryptionMaterialsProvider(main);
        }
        List<EncryptionMaterials> all = new ArrayList<>(List.of(main));
        for (Protocol.Master other : request.others()) {
            all.add(materials(other));
        }
        return new Keyring(all);
    }

    private static EncryptionMaterials materials(Protocol.Master master)
            throws IOException, GeneralSecurityException {
        EncryptionMaterials materials = switch (master.wrap()) {
            case "rsa" -> new EncryptionMaterials(master.keyPair());
            case "aes" -> new EncryptionMaterials(
                    new SecretKeySpec(Files.readAllBytes(Path.of(master.key())), "AES"));
            case "kms" -> new KMSEncryptionMaterials(master.keyId());
            default -> throw new Protocol.Unsupported("no such master key: " + master.wrap());
        };
        if (master.description() != null) {
            materials.addDescriptions(master.description());
        }
        return materials;
    }

    /** Several master keys; the SDK's own providers have one. */
    private record Keyring(List<EncryptionMaterials> all) implements EncryptionMaterialsProvider {
        @Override
        public EncryptionMaterials getEncryptionMaterials() {
            return all.get(0);
        }

        @Override
        public EncryptionMaterials getEncryptionMaterials(Map<String, String> description) {
            return all.stream()
                    .filter(it -> it.getMaterialsDescription().equals(description))
                    .findFirst()
                    .orElse(null);
        }

        @Override
        public void refresh() {}
    }
}
