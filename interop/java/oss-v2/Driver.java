import com.aliyun.sdk.service.oss2.OSSClient;
import com.aliyun.sdk.service.oss2.utils.VersionInfoUtils;

import java.io.IOException;

/**
 * The driver of alibabacloud-oss-v2, of which no release can encrypt.
 *
 * <p>0.4.0, the only version on Maven Central, has parts of the encryption without a client that
 * uses them; {@code OSSEncryptionClient} is in the repository since June 2026. Once a release has
 * it, this driver says so.
 */
final class Driver implements Protocol.Handler {
    private static final String CLIENT =
            "com.aliyun.sdk.service.oss2.encryption.OSSEncryptionClient";

    public static void main(String[] arguments) throws IOException {
        Protocol.serve("alibabacloud-oss-v2", VersionInfoUtils.getVersion(), new Driver());
    }

    @Override
    public void write(Protocol.Request request) {
        refuse();
    }

    @Override
    public void read(Protocol.Request request) {
        refuse();
    }

    private static void refuse() {
        try {
            Class.forName(CLIENT, false, OSSClient.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            throw new Protocol.Unsupported("this version has no OSSEncryptionClient");
        }
        throw new IllegalStateException("this version has an OSSEncryptionClient; use it here");
    }
}
