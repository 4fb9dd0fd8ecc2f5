import com.google.gson.FieldNamingPolicy;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.annotations.SerializedName;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/** The protocol of the interoperability drivers (see ../README.md). */
final class Protocol {
    static final String ACCESS_KEY = "LTAIloop";
    static final String SECRET = "SKloop";

    private Protocol() {}

    /** What a driver does. Whatever it throws becomes the answer. */
    interface Handler {
        void write(Request request) throws Throwable;

        void read(Request request) throws Throwable;

        default void copyTree(Request request) throws Throwable {
            throw new Unsupported("this SDK has no DistCp");
        }
    }

    record Request(
            @SerializedName("do") String action, String endpoint, String kms, String bucket,
            String key, String file, String how, long partSize, String content, String storage,
            Master master, String out, String range, List<Master> others, String from, String to) {

        Path source() {
            return Path.of(file);
        }

        Path target() {
            return Path.of(out);
        }
    }

    record Master(
            String wrap, String publicKey, String privateKey, String key, String keyId,
            Map<String, String> description) {

        KeyPair keyPair() throws IOException, GeneralSecurityException {
            return Protocol.keyPair(publicKey, privateKey);
        }
    }

    /** A request that the interface of the SDK cannot express. */
    static final class Unsupported extends RuntimeException {
        private static final long serialVersionUID = 1;

        Unsupported(String why) {
            super(why);
        }
    }

    private record Greeting(String sdk, String version) {}

    /** A range of bytes. One end is -1 if it is open; then {@code last} may be a length. */
    record Range(long first, long last) {
        /** Returns null if the request is for the whole object. */
        static Range of(Request request) {
            if (request.range() == null) {
                return null;
            }
            String[] ends = request.range().split("-", -1);
            return new Range(number(ends[0]), number(ends[1]));
        }

        private static long number(String text) {
            return text.isEmpty() ? -1 : Long.parseLong(text);
        }

        boolean isSuffix() {
            return first < 0;
        }

        boolean isOpen() {
            return last < 0;
        }
    }

    /** Answers the requests on standard input until it ends. */
    static void serve(String sdk, String version, Handler handler) throws IOException {
        // Some SDKs and their dependencies print to standard output, which is for answers only.
        var output = new FileOutputStream(FileDescriptor.out);
        var answers = new PrintStream(output, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Gson gson = new GsonBuilder()
                .setFieldNamingPolicy(FieldNamingPolicy.LOWER_CASE_WITH_UNDERSCORES)
                .disableHtmlEscaping()
                .create();
        answers.println(gson.toJson(new Greeting(sdk, version)));
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Request request = gson.fromJson(line, Request.class);
            answers.println(gson.toJson(answer(request, handler)));
        }
        // Threads that an SDK leaves behind must not keep the process alive.
        System.exit(0);
    }

    private static Map<String, Object> answer(Request request, Handler handler) {
        try {
            switch (request.action()) {
                case "write" -> handler.write(request);
                case "read" -> handler.read(request);
                case "distcp" -> handler.copyTree(request);
                default -> throw new Unsupported("no such request: " + request.action());
            }
            return Map.of("ok", true);
        } catch (Unsupported e) {
            return Map.of("unsupported", e.getMessage());
        } catch (Throwable e) {
            e.printStackTrace();
            return Map.of("error", describe(e));
        }
    }

    /** Describes an error on one line, without what differs from one run to the next. */
    private static String describe(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        String text = error.getClass().getSimpleName() + ": " + error.getMessage();
        if (root.getMessage() != null && !text.contains(root.getMessage())) {
            text += " (" + root.getClass().getSimpleName() + ": " + root.getMessage() + ")";
        }
        return text.replaceAll("\\s+", " ")
                .replaceAll("127\\.0\\.0\\.1:\\d+", "SERVER")
                .replaceAll("@[0-9a-f]{4,}", "@HASH")
                .replaceAll("(?i)(request|trace)[ _-]?id:? ?[\\w=+/-]+", "$1 ID")
                .replaceAll("\\d{4}-\\d\\d-\\d\\d[T ][\\d:.]+Z?", "TIME")
                .strip();
    }

    /** Returns the version that Maven wrote into the archive of a class. */
    static String mavenVersion(Class<?> of, String group, String artifact) throws IOException {
        String path = "/META-INF/maven/" + group + "/" + artifact + "/pom.properties";
        try (InputStream in = of.getResourceAsStream(path)) {
            var properties = new Properties();
            properties.load(in);
            return properties.getProperty("version");
        }
    }

    static KeyPair keyPair(String publicPem, String privatePem)
            throws IOException, GeneralSecurityException {
        KeyFactory rsa = KeyFactory.getInstance("RSA");
        return new KeyPair(
                rsa.generatePublic(new X509EncodedKeySpec(der(publicPem))),
                rsa.generatePrivate(new PKCS8EncodedKeySpec(privateDer(privatePem))));
    }

    /** Returns the contents of a PEM file. */
    static byte[] der(String path) throws IOException {
        String body = Files.readString(Path.of(path)).replaceAll("-----[^-]+-----", "");
        return Base64.getMimeDecoder().decode(body);
    }

    /** Returns an RSA private key in PKCS#8, which is the only form that Java reads. */
    static byte[] privateDer(String path) throws IOException {
        byte[] der = der(path);
        if (!Files.readString(Path.of(path)).contains("BEGIN RSA PRIVATE KEY")) {
            return der;
        }
        byte[] version = {0x02, 0x01, 0x00};
        byte[] rsaEncryption = {
            0x30, 0x0d, 0x06, 0x09, 0x2a, (byte) 0x86, 0x48, (byte) 0x86, (byte) 0xf7, 0x0d,
            0x01, 0x01, 0x01, 0x05, 0x00
        };
        return element(0x30, version, rsaEncryption, element(0x04, der));
    }

    /** Encodes a DER element of 256 to 65535 bytes. */
    private static byte[] element(int tag, byte[]... parts) {
        var content = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            content.writeBytes(part);
        }
        var all = new ByteArrayOutputStream();
        all.writeBytes(new byte[] {
            (byte) tag, (byte) 0x82, (byte) (content.size() >> 8), (byte) content.size()
        });
        all.writeBytes(content.toByteArray());
        return all.toByteArray();
    }
}
