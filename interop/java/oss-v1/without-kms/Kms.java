import com.aliyun.oss.crypto.EncryptionMaterials;

/** For 3.18.5 and newer. */
final class Kms {
    private Kms() {}

    static EncryptionMaterials materials(Protocol.Request request) {
        throw new Protocol.Unsupported("3.18.5 removed KmsEncryptionMaterials");
    }
}
