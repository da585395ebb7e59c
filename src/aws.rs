//! What every call to an AWS service shares: the credentials, which are the
//! instance role's and come from the metadata service alone, and the way
//! there. Nothing here reads the environment or `~/.aws`.

mod failure;
mod iam;
mod region;
mod role;
mod sts;
mod transport;

pub use transport::Network;

pub(crate) use failure::Failure;
pub(crate) use iam::{Iam, IamError};
pub(crate) use region::partition;
pub(crate) use role::{Metadata, Role, RoleError};
pub(crate) use sts::{Caller, Refusal, Sts};
pub(crate) use transport::{TransportError, causes, client, endpoint, non_empty, shortened};

use aws_credential_types::Credentials as Signer;

use crate::secret::{Credentials, Secret};

/// The credentials as the SDK takes them. It wipes its copies as well.
fn provider(credentials: &Credentials) -> Signer {
    let text = |secret: &Secret| secret.expose_str().unwrap_or_default().to_owned();
    Signer::new(
        credentials.access_key_id.as_str(),
        text(&credentials.secret_access_key),
        credentials.session_token.as_ref().map(text),
        None,
        "rolecall",
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// The host that a call is made to, as a proxy is told that then refuses.
    fn asked<F: Future>(call: impl FnOnce(Network) -> F, fips: bool, dual_stack: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Network {
            proxy: Some(Secret::new(format!(
                "http://{}",
                listener.local_addr().unwrap()
            ))),
            fips,
            dual_stack,
            ..Network::default()
        };
        let proxy = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(client.try_clone().unwrap())
                .read_line(&mut request)
                .unwrap();
            let _ = client.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n");
            request
        });
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(call(network));
        let request = proxy.join().unwrap();
        let target = request.strip_prefix("CONNECT ").unwrap();
        target.split(':').next().unwrap().to_owned()
    }

    fn credentials() -> Credentials {
        Credentials {
            access_key_id: format!("ASIA{}", "A".repeat(16)),
            secret_access_key: Secret::new("a".repeat(40)),
            session_token: None,
        }
    }

    fn sts(region: &str, fips: bool, dual_stack: bool) -> String {
        let call = async |network: Network| {
            let sts = Sts::new(&network, None, region).unwrap();
            sts.get_caller_identity(&credentials(), LIMIT).await
        };
        asked(call, fips, dual_stack)
    }

    fn iam(region: &str, fips: bool, dual_stack: bool) -> String {
        let call = async |network: Network| {
            let iam = Iam::new(&network, None, region, "web", &credentials()).unwrap();
            iam.get_trust().await
        };
        asked(call, fips, dual_stack)
    }

    #[test]
    fn sts_and_iam_are_asked_where_partition_fips_and_dual_stack_say() {
        for (region, fips, dual_stack, of_sts, of_iam) in [
            (
                "eu-central-1",
                false,
                false,
                "sts.eu-central-1.amazonaws.com",
                "iam.amazonaws.com",
            ),
            (
                "us-east-1",
                true,
                false,
                "sts-fips.us-east-1.amazonaws.com",
                "iam-fips.amazonaws.com",
            ),
            (
                "us-east-1",
                false,
                true,
                "sts.us-east-1.api.aws",
                "iam.global.api.aws",
            ),
            (
                "us-gov-west-1",
                true,
                false,
                "sts.us-gov-west-1.amazonaws.com",
                "iam.us-gov.amazonaws.com",
            ),
            (
                "cn-north-1",
                false,
                false,
                "sts.cn-north-1.amazonaws.com.cn",
                "iam.cn-north-1.amazonaws.com.cn",
            ),
        ] {
            assert_eq!(sts(region, fips, dual_stack), of_sts);
            assert_eq!(iam(region, fips, dual_stack), of_iam);
        }
    }
}
