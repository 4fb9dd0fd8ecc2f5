import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;

import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;

/**
 * The end of a tunnel through a proxy, with TLS.
 *
 * <p>hadoop-cos always uses HTTPS when it encrypts, and the loopback server speaks HTTP only.
 */
final class Tunnel implements Relay.Door {
    private static final String PASSWORD = "changeit";

    private final SSLContext context;

    /** Makes a certificate for the hosts of the service, and the JVM trust only it. */
    Tunnel(Path folder) throws IOException, GeneralSecurityException, InterruptedException {
        Path store = folder.resolve("store.p12");
        // Java can make certificates only with this tool.
        var keytool = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair", "-alias", "loopback", "-keyalg", "EC", "-validity", "2",
                "-dname", "CN=loopback", "-ext", "san=dns:*.cos.ap-guangzhou.myqcloud.com",
                "-storetype", "PKCS12", "-storepass", PASSWORD, "-keystore", store.toString());
        keytool.redirectOutput(ProcessBuilder.Redirect.DISCARD);
        keytool.redirectError(ProcessBuilder.Redirect.DISCARD);
        if (keytool.start().waitFor() != 0) {
            throw new IOException("keytool failed");
        }
        System.setProperty("javax.net.ssl.trustStore", store.toString());
        System.setProperty("javax.net.ssl.trustStorePassword", PASSWORD);
        KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
        var managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(keys, PASSWORD.toCharArray());
        context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
    }

    @Override
    public Socket enter(Socket client) throws IOException {
        InputStream in = client.getInputStream();
        while (!Relay.line(in).isEmpty()) {
            // The request is CONNECT, and the host does not matter: all go to the server.
        }
        client.getOutputStream()
                .write("HTTP/1.1 200 OK\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
        var secure = (SSLSocket) context.getSocketFactory().createSocket(client, null, true);
        secure.setUseClientMode(false);
        return secure;
    }
}
